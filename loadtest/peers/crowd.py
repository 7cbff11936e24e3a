"""A crowd of clients of the Centrifuge protocol on one topic: it comes at once, some of it comes and goes, it goes at once.

Prints the CPU time of the server for each phase, and what one of the clients was told meanwhile. Needs nothing but Python 3.10:

    python3 crowd.py --pid PID --clients 15000 --churn 500 ws://127.0.0.1:8000/connection/websocket

The server must let anonymous clients in, and everyone publish on the topic `crowd`. All clients are in this one process, which
reads and forgets what they are told; only the first, who stays, is listened to. From 127.0.0.1, 127.0.0.2 and so on: one address has
28,000 ports.
"""

import argparse
import json
import os
import selectors
import socket
import time
from collections import Counter
from urllib.parse import urlsplit

HANDSHAKE = (
    "GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
)
COME = '{"id":1,"connect":{}}\n{"id":2,"subscribe":{"channel":"crowd","join_leave":true}}'


def masked(text):
    """A text message whose mask is zeros: its payload stays as it is."""
    payload = text.encode()
    assert len(payload) < 65536
    if len(payload) < 126:
        return bytes([0x81, 0x80 | len(payload), 0, 0, 0, 0]) + payload
    return bytes([0x81, 0x80 | 126]) + len(payload).to_bytes(2, "big") + bytes(4) + payload


class Watcher:
    """Counts what it is told. Its messages are whole texts of at most 64 KiB."""

    def __init__(self):
        self.rest = b""
        self.told = Counter()
        self.latencies = []
        self.upgraded = False

    def take(self, data):
        self.rest += data
        if not self.upgraded:
            head, end, after = self.rest.partition(b"\r\n\r\n")
            if not end:
                return
            self.upgraded, self.rest = True, after
        while len(self.rest) >= 4:
            length, start = self.rest[1] & 127, 2
            if length == 126:
                length, start = int.from_bytes(self.rest[2:4], "big"), 4
            if len(self.rest) < start + length:
                return
            payload, self.rest = self.rest[start : start + length], self.rest[start + length :]
            for line in payload.splitlines():
                push = json.loads(line).get("push", {})
                for what in ("join", "leave", "pub"):
                    if what in push:
                        self.told[what] += 1
                if "pub" in push:
                    self.latencies.append(time.monotonic() - push["pub"]["data"]["at"])


class Crowd:
    def __init__(self, url, pid):
        self.url, self.pid = urlsplit(url), pid
        self.selector = selectors.EpollSelector()
        self.watcher = Watcher()
        self.clients = []
        self.count = 0
        self.ended = 0
        self.received = 0

    def come(self, listens=False):
        address = (self.url.hostname, self.url.port)
        one = socket.socket()
        one.setsockopt(socket.IPPROTO_IP, 24, 1)  # IP_BIND_ADDRESS_NO_PORT
        one.bind((f"127.0.0.{1 + self.count % 8}", 0))
        self.count += 1
        one.connect(address)
        one.send(HANDSHAKE.format(path=self.url.path, host=self.url.netloc).encode() + masked(COME))
        one.setblocking(False)
        self.selector.register(one, selectors.EVENT_READ, self.watcher if listens else None)
        self.clients.append(one)

    def go(self, one):
        if one.fileno() >= 0:
            self.selector.unregister(one)
            one.close()

    def read(self, seconds):
        """Reads what comes for a time; returns how much it was."""
        until = time.monotonic() + seconds
        received = 0
        while True:
            left = until - time.monotonic()
            for key, _ in self.selector.select(max(left, 0)):
                try:
                    data = key.fileobj.recv(1 << 18)
                except BlockingIOError:
                    continue
                except ConnectionResetError:
                    data = b""
                if not data:
                    self.ended += 1
                    self.go(key.fileobj)
                    continue
                received += len(data)
                if key.data:
                    key.data.take(data)
            if left <= 0:
                self.received += received
                return received

    def settle(self):
        """Reads until nothing has come for a second."""
        while self.read(1.0):
            pass

    def cpu(self):
        with open(f"/proc/{self.pid}/stat") as stat:
            fields = stat.read().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def resident_mib(self):
        with open(f"/proc/{self.pid}/statm") as statm:
            return int(statm.read().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20

    def phase(self, name, do, idle=0.0):
        """Does something; tells the CPU time that the server took, beside what it takes when idle."""
        told, received = Counter(self.watcher.told), self.received
        self.watcher.latencies.clear()
        began, before = time.monotonic(), self.cpu()
        do()
        took, cpu = time.monotonic() - began, self.cpu() - before
        told = {what: self.watcher.told[what] - told[what] for what in ("join", "leave", "pub")}
        late = sorted(self.watcher.latencies) or [0]
        print(
            f"{name:24} {took:6.1f} s, CPU {cpu:6.2f} s, received {(self.received - received) / 1e6:8.1f} MB, told {told}, "
            f"publications late p50/p99 {late[len(late) // 2] * 1e3:.1f}/{late[len(late) * 99 // 100] * 1e3:.1f} ms, "
            f"RSS {self.resident_mib():.1f} MiB, ended {self.ended}",
            flush=True,
        )
        return cpu


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("url")
    parser.add_argument("--pid", type=int, required=True)
    parser.add_argument("--clients", type=int, default=15000)
    parser.add_argument("--churn", type=int, default=500, help="clients who come, and as many who go, per second")
    parser.add_argument("--rate", type=int, default=20, help="publications per second")
    parser.add_argument("--seconds", type=float, default=5.0)
    args = parser.parse_args()
    crowd = Crowd(args.url, args.pid)
    crowd.come(listens=True)
    crowd.read(0.5)

    def publish():
        data = json.dumps({"id": 9, "publish": {"channel": "crowd", "data": {"at": time.monotonic()}}})
        crowd.clients[0].send(masked(data))

    def steadily(churn):
        """Publishes at the rate, and exchanges as many clients per second."""
        began = time.monotonic()
        published = exchanged = 0
        while (now := time.monotonic() - began) < args.seconds:
            while published < now * args.rate:
                publish()
                published += 1
            while exchanged < now * churn:
                crowd.go(crowd.clients.pop(1))
                crowd.come()
                exchanged += 1
            crowd.read(0.002)
        crowd.settle()

    def come():
        for number in range(args.clients - 1):
            crowd.come()
            if number % 64 == 0:
                crowd.read(0)
        crowd.settle()

    def go():
        for one in crowd.clients[1:]:
            crowd.go(one)
        del crowd.clients[1:]
        crowd.settle()

    print(f"RSS {crowd.resident_mib():.1f} MiB before")
    crowd.phase("all come", come)
    crowd.phase("steady", lambda: steadily(0))
    crowd.phase(f"{args.churn}/s come and go", lambda: steadily(args.churn))
    crowd.phase("all go", go)


if __name__ == "__main__":
    main()
