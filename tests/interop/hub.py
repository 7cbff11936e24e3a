"""A hub of its own for a test: the real program, on a free port, until the test is done."""

import http.client
import json
import os
import re
import signal
import socket
import subprocess
import time
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
TUTORIALS = ROOT / "config" / "tutorials"

# For anything that should happen at once; generous, since two cores may be busy with a build.
SOON = 10


def eventually(look, what, within=SOON):
    """The first true answer of `look`; fails with `what` if there is none within the deadline."""
    deadline = time.monotonic() + within
    while True:
        found = look()
        if found:
            return found
        assert time.monotonic() < deadline, f"not within {within} s: {what}"
        time.sleep(0.02)


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Hub:
    """A running hub."""

    def __init__(self, port, process, log):
        self.port = port
        self.process = process
        self._log = log

    def http(self, path="/"):
        return f"http://127.0.0.1:{self.port}{path}"

    def ws(self, path):
        return f"ws://127.0.0.1:{self.port}{path}"

    @property
    def origin(self):
        return self.http("")

    def log(self):
        # Colours are for terminals; a hub that writes them into a file is wrong, but not what is tested here.
        return re.sub(r"\x1b\[[0-9;]*m", "", self._log.read_text(encoding="utf-8", errors="replace"))

    def request(self, method, path, body=None, headers=None):
        """One request on a connection of its own, answered as `Answer`."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=SOON)
        try:
            connection.request(method, path, body=body, headers=headers or {})
            return Answer(connection.getresponse())
        finally:
            connection.close()

    def get(self, path, headers=None):
        return self.request("GET", path, headers=headers)

    def post(self, path, body, headers=None):
        if isinstance(body, str):
            body = body.encode()
        return self.request("POST", path, body, headers)

    def publish(self, topic, body, headers=None):
        """Publishes by HTTP and gives the receipt."""
        answer = self.post(f"/topics/{topic}", body, headers)
        assert answer.status == 200, answer
        return answer.json()

    def metric(self, name):
        """The sum of a metric over its labels."""
        total = None
        for line in self.get("/metrics").text().splitlines():
            series, _, value = line.rpartition(" ")
            if series.split("{")[0] == name:
                total = (total or 0) + float(value)
        assert total is not None, f"no metric {name}"
        return total


class Answer:
    """An HTTP answer, read whole."""

    def __init__(self, response):
        self.status = response.status
        self.headers = response.headers
        self.body = response.read()

    def text(self):
        return self.body.decode()

    def json(self):
        return json.loads(self.body)

    def __repr__(self):
        return f"{self.status} {dict(self.headers)} {self.body[:400]!r}"


@contextmanager
def running(config, log):
    """Starts the hub on `config` and waits until it is ready; at the end it must drain and exit with 0."""
    program = os.environ.get("FANFARE_BIN")
    assert program, "FANFARE_BIN names no hub: run `cargo xtask test interop`"
    port = free_port()
    # The runner's own variables are no configuration of the hub.
    environment = {key: value for key, value in os.environ.items() if not key.startswith("FANFARE_")}
    environment["FANFARE_SERVER__LISTEN"] = f'["127.0.0.1:{port}"]'
    with open(log, "wb") as output:
        process = subprocess.Popen(
            [program, "--config", str(config), "serve"],
            stdin=subprocess.DEVNULL, stdout=output, stderr=output, env=environment,
        )
    hub = Hub(port, process, log)
    try:
        eventually(lambda: is_ready(hub), f"the hub on {config} is ready\n{hub.log()}", within=20)
        yield hub
        assert process.poll() is None, f"the hub ended by itself: {process.returncode}\n{hub.log()}"
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=20) == 0, f"the hub did not drain\n{hub.log()}"
        assert "panicked" not in hub.log(), hub.log()
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()


def is_ready(hub):
    assert hub.process.poll() is None, f"the hub ended with {hub.process.returncode}:\n{hub.log()}"
    try:
        return hub.get("/health/ready").status == 200
    except OSError:
        return False
