"""The official SDKs, each in a process of its own that is driven by lines of JSON, so that a test is written once.

Commands, one line each, `{"id": 1, "client": "c1", "verb": …, …}`, and the answer to each:

* `new` (base, transport, format, token, tokens, data, headers, name), `connect`, `disconnect`, `drop`
* `subscribe` (channel, token, tokens, data, positioned, recoverable, join_leave, delta, filter, since, states),
  `unsubscribe`, `resubscribe` (channel)
* `publish` (channel, data), `send` (data), `rpc` (method, data) → data
* `history` (channel, limit, since, reverse) → publications, offset, epoch
* `presence` (channel) → clients; `presence_stats` (channel) → num_clients, num_users

`tokens` are what the application's token function gives, one per call; when they are used up it says that the user is not
authorized. `states` are the positions that the application's state function gives, the last one again and again.

Answers: `{"id": 1, "answer": {…}}` or `{"id": 1, "refusal": {"code": 103, "message": …, "temporary": false}}`.

Events, `{"event": …, "of": "c1", …}`: connecting, connected, disconnected, error, message; subscribing, subscribed,
unsubscribed, publication, join, leave, subscription-error, of a channel; the same with `server-` before it for
subscriptions that the server made; token-asked, state-asked.

A payload is `{"json": value}` or `{"b64": bytes}`; SDKs that speak Protobuf take and give bytes.
"""

import base64
import copy
import itertools
import json
import os
import shutil
import subprocess
import sys
import threading
import time
from pathlib import Path

from target import SOON, eventually

DRIVERS = Path(__file__).resolve().parent / "drivers"

# name: SDK, transport, format
FLAVOURS = {
    "js-json-websocket": ("js", "websocket", "json"),
    "js-protobuf-websocket": ("js", "websocket", "protobuf"),
    "js-json-http_stream": ("js", "http_stream", "json"),
    "js-protobuf-http_stream": ("js", "http_stream", "protobuf"),
    "js-json-sse": ("js", "sse", "json"),
    "python-json-websocket": ("python", "websocket", "json"),
    "python-protobuf-websocket": ("python", "websocket", "protobuf"),
    "go-json-websocket": ("go", "websocket", "json"),
    "go-protobuf-websocket": ("go", "websocket", "protobuf"),
}


class Refusal(Exception):
    """The SDK said no: the code is the hub's, or None if the SDK itself refused."""

    def __init__(self, refusal):
        super().__init__(f'{refusal.get("code")}: {refusal["message"]}')
        self.code, self.message = refusal.get("code"), refusal["message"]
        self.temporary = refusal.get("temporary", False)


class Driver:
    """A driver process."""

    def __init__(self, sdk):
        self.sdk = sdk
        commands = {
            "js": lambda: [os.environ.get("FANFARE_NODE") or shutil.which("node"), str(DRIVERS / "js/driver.mjs")],
            "python": lambda: [sys.executable, "-B", str(DRIVERS / "python/driver.py")],
            "go": lambda: [os.environ["FANFARE_GO_DRIVER"]],
        }
        self._process = subprocess.Popen(commands[sdk](), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self._numbers = itertools.count(1)
        self._changed = threading.Condition()
        self._answers = {}
        self._inboxes = {}
        self._ended = False
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self):
        for text in self._process.stdout:
            line = json.loads(text)
            with self._changed:
                if "id" in line:
                    self._answers[line["id"]] = line
                elif line["of"] in self._inboxes:
                    self._inboxes[line["of"]].append(line)
                self._changed.notify_all()
        with self._changed:
            self._ended = True
            self._changed.notify_all()

    def client(self, flavour, base, **options):
        sdk, transport, format = FLAVOURS[flavour]
        assert sdk == self.sdk
        name = f"c{next(self._numbers)}"
        inbox = []
        with self._changed:
            self._inboxes[name] = inbox
        client = Client(self, name, flavour, inbox)
        client.do("new", base=base, transport=transport, format=format, **options)
        return client

    def call(self, client, verb, what):
        number = next(self._numbers)
        self._process.stdin.write(json.dumps({"id": number, "client": client, "verb": verb, **what}) + "\n")
        self._process.stdin.flush()
        line = self.wait(lambda: self._answers.pop(number, None), lambda: f"{self.sdk} answers {verb} {what}")
        if "refusal" in line:
            raise Refusal(line["refusal"])
        return line["answer"]

    def wait(self, look, what, within=SOON):
        """The first true answer of `look`, asked whenever something came."""
        deadline = time.monotonic() + within
        with self._changed:
            while True:
                found = look()
                if found:
                    return found
                assert not self._ended, f"the {self.sdk} driver ended while waiting: {what()}"
                left = deadline - time.monotonic()
                assert left > 0, f"not within {within} s: {what()}"
                self._changed.wait(left)

    def has_ended(self):
        return self._ended

    def forget(self, name):
        with self._changed:
            self._inboxes.pop(name, None)

    def stop(self):
        if self._ended:
            self._process.wait()
            return
        self._process.stdin.close()
        try:
            code = self._process.wait(timeout=SOON)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
            raise AssertionError(f"the {self.sdk} driver did not end") from None
        assert code == 0, f"the {self.sdk} driver ended with {code}"


class Client:
    """A client of an SDK. Events wait in the order they came until a test takes them."""

    def __init__(self, driver, name, flavour, inbox):
        self.flavour = flavour
        self.sdk, self.transport, self.format = FLAVOURS[flavour]
        self._driver, self._name, self._inbox = driver, name, inbox

    def do(self, verb, **what):
        """Calls the SDK: payloads in `data` are Python values, or bytes."""
        if "data" in what:
            what["data"] = self._out(what["data"])
        answer = self._driver.call(self._name, verb, what)
        return self._given(answer)

    def take(self, event, within=SOON, **like):
        """Takes the first event of this kind that has these values; others stay. Fails if none comes soon."""
        def look():
            for at, line in enumerate(self._inbox):
                if line["event"] == event and all(line.get(key) == value for key, value in like.items()):
                    return self._inbox.pop(at)
            return None
        line = self._driver.wait(look, lambda: f"{self.flavour} {event} {like}; there are {self._inbox[-30:]}", within)
        return self._given(line)

    def waiting(self, *events):
        """The events of these kinds (all, if none is named) that nobody has taken yet."""
        lines = [line for line in list(self._inbox) if not events or line["event"] in events]
        return [self._given(line) for line in copy.deepcopy(lines)]

    def connect(self):
        self.do("connect")
        self.take("connecting")
        return self.take("connected")

    def subscribe(self, channel, **options):
        self.do("subscribe", channel=channel, **options)
        return self.take("subscribed", channel=channel)

    def publications(self, channel, count, within=SOON):
        """The next publications of a channel."""
        return [self.take("publication", channel=channel, within=within) for _ in range(count)]

    def events(self):
        """How many events nobody has taken yet."""
        return len(self._inbox)

    def until(self, event, channel, offset, within):
        """Waits for a publication with this offset, and takes nothing. Looks now and then, and not at each of very many lines."""
        def there():
            return any(line["event"] == event and line["offset"] == offset and line["channel"] == channel
                       for line in list(self._inbox)[-1000:])
        eventually(there, lambda: f"{self.flavour} {event} {offset} of {channel}; there are {len(self._inbox)} events, "
                                  f"and these are the last: {self._inbox[-3:]}", within)

    def by_kind(self, channel):
        """All events of a channel that nobody has taken yet, by kind."""
        kinds = {}
        for line in list(self._inbox):
            if line.get("channel") == channel:
                kinds.setdefault(line["event"], []).append(self._given(line))
        return kinds

    def drop(self):
        if not self._driver.has_ended():
            self.do("drop")
        self._driver.forget(self._name)

    def _out(self, data):
        return {"b64": base64.b64encode(data).decode()} if isinstance(data, bytes) else {"json": data}

    def _given(self, line):
        """Payloads as Python values; `bytes` beside them holds what came, if bytes came."""
        for field in ("data", "conn_info", "chan_info"):
            if isinstance(line.get(field), dict):
                payload = line[field]
                if payload.get("b64") == "" and field != "data":
                    # In Protobuf, what is empty is not there.
                    del line[field]
                elif "b64" in payload:
                    raw = base64.b64decode(payload["b64"])
                    line[f"{field}_bytes"] = raw
                    try:
                        line[field] = json.loads(raw)
                    except ValueError:
                        line[field] = raw
                else:
                    line[field] = payload.get("json")
        # Only where the vocabulary has them: an application's data may have fields of these names, too.
        for inner in [line.get("info"), *line.get("publications", []), *line.get("clients", {}).values()]:
            if isinstance(inner, dict):
                self._given(inner)
        return line
