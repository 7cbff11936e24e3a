"""A TCP proxy that can cut connections: at once, or after as many bytes as the test says."""

import selectors
import socket
import struct
import threading

from target import eventually


class CuttingProxy:
    """Forwards to `address`. Runs until it is closed.

    `budget` is called for each new connection; after that many bytes from the hub, the connection is cut in the middle of
    whatever it was. None: never.
    """

    def __init__(self, address, budget=lambda: None):
        self._address, self._budget = address, budget
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=128)
        self._listener.setblocking(False)
        self.port = self._listener.getsockname()[1]
        self.base = f"http://127.0.0.1:{self.port}"
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._listener, selectors.EVENT_READ)
        # All of these are the loop's; a lock for the few things that tests ask of it.
        self._lock = threading.Lock()
        self._pairs = {}
        self._open = True
        self._running = True
        self.accepted = 0
        self.cuts = 0
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def cut(self):
        """Cuts all connections, at once and without a word."""
        with self._lock:
            for one in list(self._pairs):
                self._cut(one)

    def refuse(self):
        """From now on new connections are closed at once."""
        self._open = False

    def accept(self):
        self._open = True

    def connections(self):
        with self._lock:
            return len(self._pairs) // 2

    def close(self):
        self._running = False
        self._thread.join(timeout=10)
        with self._lock:
            for one in list(self._pairs):
                self._cut(one)
        self._listener.close()
        self._selector.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def _run(self):
        while self._running:
            for key, _ in self._selector.select(timeout=0.05):
                with self._lock:
                    if key.fileobj is self._listener:
                        self._take()
                    elif key.fileobj in self._pairs:
                        self._forward(key.fileobj)

    def _take(self):
        client, _ = self._listener.accept()
        self.accepted += 1
        if not self._open:
            _reset(client)
            return
        try:
            hub = socket.create_connection(self._address, timeout=10)
        except OSError:
            _reset(client)
            return
        for one, other, budget in [(client, hub, None), (hub, client, self._budget())]:
            one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            # Blocking writes with a deadline: what is behind this proxy reads, or is cut.
            one.settimeout(10)
            self._pairs[one] = [other, budget]
            self._selector.register(one, selectors.EVENT_READ)

    def _forward(self, one):
        other, budget = self._pairs[one]
        try:
            data = one.recv(65536)
            if not data:
                self._cut(one, gracefully=True)
                return
            if budget is not None and len(data) >= budget:
                other.sendall(data[:budget])
                self.cuts += 1
                self._cut(one)
                return
            if budget is not None:
                self._pairs[one][1] = budget - len(data)
            other.sendall(data)
        except OSError:
            self._cut(one)

    def _cut(self, one, gracefully=False):
        if one not in self._pairs:
            return
        other, _ = self._pairs.pop(one)
        self._pairs.pop(other, None)
        for end in (one, other):
            self._selector.unregister(end)
            if gracefully:
                end.close()
            else:
                _reset(end)


def _reset(end):
    # Linger of zero: the kernel sends a reset instead of an orderly end.
    end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    end.close()


def away(proxy, client):
    """Cuts the client off, and keeps it off until the proxy accepts again."""
    proxy.refuse()
    proxy.cut()
    client.take("connecting")
    eventually(lambda: proxy.connections() == 0, lambda: "the proxy is empty")
