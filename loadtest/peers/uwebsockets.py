#!/usr/bin/env python3
"""uWebSockets as a plain hub with one topic per URL, to be compared with fanfare.

    python3 -m venv venv && venv/bin/pip install socketify
    taskset -c 0 venv/bin/python loadtest/peers/uwebsockets.py
    fanfare-loadtest compare --window 1,16,64 floors hub:target/release/fanfare \\
        'uws=ws://127.0.0.1:9001/topics/{topic}'

What a client sends on /topics/{topic} is published to all who are connected there, itself included. One process, one
thread; no compression, no idle timeout, no limit on what waits for a slow reader. The native library does the sockets, the
frames and the sending; Python runs once per publication, not per delivery, and its time is part of what is measured.
"""

import sys

from socketify import App, CompressOptions

MESSAGE_LIMIT_BYTES = 16 * 1024 * 1024
BACKPRESSURE_LIMIT_BYTES = 256 * 1024 * 1024


def upgrade(response, request, socket_context):
    response.upgrade(
        request.get_header("sec-websocket-key"),
        request.get_header("sec-websocket-protocol"),
        request.get_header("sec-websocket-extensions"),
        socket_context,
        request.get_parameter(0).encode(),
    )


def joined(socket):
    socket.subscribe(socket.get_user_data())


def main(port):
    app = App()

    def published(socket, message, opcode):
        app.publish(socket.get_user_data(), message, opcode)

    app.ws(
        "/topics/:topic",
        {
            "compression": CompressOptions.DISABLED,
            "max_payload_length": MESSAGE_LIMIT_BYTES,
            "max_backpressure": BACKPRESSURE_LIMIT_BYTES,
            "idle_timeout": 0,
            "upgrade": upgrade,
            "open": joined,
            "message": published,
        },
    )
    app.listen({"host": "127.0.0.1", "port": port}, lambda config: print(f"listening on {port}", flush=True))
    app.run()


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 9001)
