"""The hub that the suite runs against: Centrifugo, which the protocol is named after, or fanfare.

Both have a configuration of equal meaning beside this file. A hub runs in one of three variants:

* `open`: anonymous clients may connect, and nothing happens by itself for a long time: no ping disturbs a test;
* `strict`: a token is needed, and all that takes time is short: pings, pongs, silence before connect, expiry;
* `hooked`: a backend of ours decides who may connect, and prolongs connections.
"""

import http.client
import json
import os
import signal
import socket
import subprocess
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
API_KEY = "letmein"

# For anything that should happen at once; generous, since two cores may be busy with a build.
SOON = 15

VARIANTS = {
    "centrifugo": {
        "open": {},
        "strict": {
            "CENTRIFUGO_CLIENT_ALLOW_ANONYMOUS_CONNECT_WITHOUT_TOKEN": "false",
            "CENTRIFUGO_CLIENT_PING_INTERVAL": "1s",
            "CENTRIFUGO_CLIENT_PONG_TIMEOUT": "700ms",
            "CENTRIFUGO_CLIENT_STALE_CLOSE_DELAY": "1s",
            "CENTRIFUGO_CLIENT_EXPIRED_CLOSE_DELAY": "1s",
            "CENTRIFUGO_CLIENT_EXPIRED_SUB_CLOSE_DELAY": "1s",
            "CENTRIFUGO_CLIENT_PRESENCE_UPDATE_INTERVAL": "1s",
            "CENTRIFUGO_CLIENT_USER_CONNECTION_LIMIT": "3",
            "CENTRIFUGO_CLIENT_QUEUE_MAX_SIZE": "1048576",
        },
        "hooked": {
            "CENTRIFUGO_CLIENT_PROXY_CONNECT_ENABLED": "true",
            "CENTRIFUGO_CLIENT_PROXY_REFRESH_ENABLED": "true",
            "CENTRIFUGO_CLIENT_EXPIRED_CLOSE_DELAY": "1s",
            "CENTRIFUGO_CLIENT_EXPIRED_SUB_CLOSE_DELAY": "1s",
            "CENTRIFUGO_CLIENT_PRESENCE_UPDATE_INTERVAL": "1s",
        },
    },
    "fanfare": {
        "open": {},
        "strict": {
            "FANFARE_CENTRIFUGE__ANONYMOUS": "false",
            "FANFARE_LIVENESS__PING_INTERVAL": "1s",
            "FANFARE_LIVENESS__PONG_TIMEOUT": "700ms",
            "FANFARE_CENTRIFUGE__CONNECT_TIMEOUT": "1s",
            "FANFARE_CENTRIFUGE__EXPIRED_CLOSE_DELAY": "1s",
            "FANFARE_LIMITS__CONNECTIONS_PER_USER": "3",
        },
        "hooked": {
            "FANFARE_HOOKS__CONNECT": "http://backend.invalid/connect",
            "FANFARE_HOOKS__REFRESH": "http://backend.invalid/refresh",
            "FANFARE_CENTRIFUGE__EXPIRED_CLOSE_DELAY": "1s",
        },
    },
}


def eventually(look, what, within=SOON):
    """The first true answer of `look`; fails with `what()` if there is none within the deadline."""
    deadline = time.monotonic() + within
    while True:
        found = look()
        if found:
            return found
        assert time.monotonic() < deadline, f"not within {within} s: {what()}"
        time.sleep(0.01)


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Target:
    """What runs, and how it is started: `--target fanfare` or `--target centrifugo=PATH`."""

    def __init__(self, named):
        self.name, _, program = named.partition("=")
        assert self.name in VARIANTS, f"--target {named}: neither fanfare nor centrifugo=PATH"
        self.program = program or os.environ.get("FANFARE_BIN")
        assert self.program and Path(self.program).is_file(), \
            f"--target {named}: no program; `fanfare` is $FANFARE_BIN, run `cargo xtask test centrifuge`"

    def start(self, variant, folder, backend):
        """Starts the hub and waits until it answers. `backend` stands for http://backend.invalid."""
        port = free_port()
        name = {"centrifugo": "centrifugo.json", "fanfare": "fanfare.toml"}[self.name]
        config = folder / name
        config.write_text((HERE / name).read_text().replace("http://backend.invalid", backend))
        # The runner's own variables are no configuration of the hub.
        environment = {key: value for key, value in os.environ.items()
                       if not key.startswith(("FANFARE_", "CENTRIFUGO_"))}
        for key, value in VARIANTS[self.name][variant].items():
            environment[key] = value.replace("http://backend.invalid", backend)
        if self.name == "centrifugo":
            environment["CENTRIFUGO_HTTP_SERVER_PORT"] = str(port)
            command, health = [self.program, "--config", str(config)], "/health"
        else:
            environment["FANFARE_SERVER__LISTEN"] = f'["127.0.0.1:{port}"]'
            command, health = [self.program, "--config", str(config), "serve"], "/health/ready"
        log = folder / "hub.log"
        with open(log, "wb") as output:
            process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=output, stderr=output, env=environment, cwd=folder)
        hub = Hub(self.name, variant, port, process, log)
        try:
            eventually(lambda: hub.answers(health), lambda: f"{variant} {self.name} is ready\n{hub.log()}", within=30)
        except BaseException:
            process.kill()
            process.wait()
            raise
        return hub


class Hub:
    """A running hub, with its server API."""

    def __init__(self, name, variant, port, process, log):
        self.name, self.variant, self.port, self.process, self._log = name, variant, port, process, log
        self.address = ("127.0.0.1", port)

    @property
    def base(self):
        return f"http://127.0.0.1:{self.port}"

    def ws(self, path="/connection/websocket"):
        return f"ws://127.0.0.1:{self.port}{path}"

    def log(self, last=4000):
        return self._log.read_text(encoding="utf-8", errors="replace")[-last:]

    def answers(self, path):
        assert self.process.poll() is None, f"the hub ended with {self.process.returncode}:\n{self.log()}"
        try:
            return self.request("GET", path).status == 200
        except OSError:
            return False

    def request(self, method, path, body=None, headers=None):
        """One request on a connection of its own, read whole."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=SOON)
        try:
            connection.request(method, path, body=body, headers=headers or {})
            return Answer(connection.getresponse())
        finally:
            connection.close()

    def post(self, path, body, headers=None):
        """A request to the API with the key, answered as `Answer`. What is no text is sent as JSON."""
        body = body if isinstance(body, (str, bytes)) else json.dumps(body)
        headers = {"Content-Type": "application/json", "X-API-Key": API_KEY, **(headers or {})}
        return self.request("POST", path, body.encode() if isinstance(body, str) else body, headers)

    def api(self, method, **params):
        """The result of a method of the server API."""
        answer = self.post(f"/api/{method}", params)
        assert answer.status == 200, answer
        answer = answer.json()
        assert "result" in answer, f"{method} {params}: {answer}"
        return answer["result"]

    def publish(self, channel, data, **more):
        return self.api("publish", channel=channel, data=data, **more)

    def terminate(self):
        """Asks the hub to drain."""
        assert self.process.poll() is None, f"the hub ended with {self.process.returncode}:\n{self.log()}"
        self.process.send_signal(signal.SIGTERM)

    def stop(self, terminated=False):
        """Drains the hub. It must end by itself, in order, and not before."""
        if not terminated:
            self.terminate()
        try:
            code = self.process.wait(timeout=20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise AssertionError(f"the hub did not drain:\n{self.log()}") from None
        assert code == 0, f"the hub ended with {code}:\n{self.log()}"


class Answer:
    """An HTTP answer, read whole."""

    def __init__(self, response):
        self.status = response.status
        self.headers = response.headers
        self.body = response.read()

    def json(self):
        return json.loads(self.body)

    def __repr__(self):
        return f"{self.status} {dict(self.headers)} {self.body[:400]!r}"
