"""An SDK behind a proxy that cuts its connection again and again, wherever a byte happens to be, while others publish: nothing
is lost, nothing comes twice. Cuts fall into handshakes, into the answer to a recovery, into publications."""

import random
import threading
import time
from contextlib import ExitStack

import pytest

from cutting_proxy import CuttingProxy
from sdk import FLAVOURS
from target import eventually

pytestmark = [pytest.mark.feature("storm"), pytest.mark.timeout(600)]

# Publications per second, in batches, as an application would.
RATE, BATCH = 1000, 20

# A lifetime in bytes. One in four dies young, within its first answers.
YOUNG = 3_000

# About as many publications take a mean lifetime on the wire. What a client has missed is added to it, or one that is far
# behind on a slow machine could never catch up, and would rightly be told so.
PUBLICATIONS = 150

# On a machine that has other things to do, fewer cuts than asked for are enough, but not fewer than this.
FEWEST = 10


class Publisher(threading.Thread):
    """Publishes numbers at a steady rate until it is told to stop."""

    def __init__(self, hub, channel, document):
        super().__init__(daemon=True)
        self._hub, self._channel, self._document = hub, channel, document
        self._told = threading.Event()
        self.count = 0
        self.failure = None

    def run(self):
        try:
            begin = time.monotonic()
            while not self._told.is_set():
                commands = [{"publish": {"channel": self._channel, "data": self._document(self.count + number + 1)}}
                            for number in range(BATCH)]
                replies = self._hub.post("/api/batch", {"commands": commands}).json()["replies"]
                offsets = [reply["publish"]["offset"] for reply in replies]
                assert offsets == list(range(self.count + 1, self.count + BATCH + 1)), offsets
                self.count += BATCH
                self._told.wait(max(0, begin + self.count / RATE - time.monotonic()))
        except Exception as failure:  # told by the test, in its own thread
            self.failure = failure

    def finish(self):
        self._told.set()
        self.join(timeout=30)
        assert not self.failure, self.failure
        return self.count


def short(number):
    return {"n": number, "padding": "x" * 100}


def long(number):
    return {"n": number, "padding": "The quick brown fox jumps over the lazy dog. " * 4}


class Storm:
    """One client behind a proxy of its own that cuts it."""

    def __init__(self, hub, drivers, flavour, seed, lifetime, publisher):
        self._chance = random.Random(f"{seed} {flavour}")
        self._lifetime = lifetime
        self._publisher = publisher
        self._calm = True
        self.flavour = flavour
        self.proxy = CuttingProxy(hub.address, self._budget)
        self.client = drivers(FLAVOURS[flavour][0]).client(flavour, self.proxy.base)

    def _budget(self):
        if self._calm:
            return None
        if self._chance.random() < 0.25:
            return 1 + int(self._chance.random() * YOUNG)
        missed = self._publisher.count - self.client.events()
        mean = self._lifetime * (1 + max(0, missed) / PUBLICATIONS)
        return 1 + int(self._chance.expovariate(1 / mean))

    def begin(self):
        self._calm = False
        self.proxy.cut()

    def end(self):
        self._calm = True
        self.proxy.cut()

    def close(self):
        self.client.drop()
        self.proxy.close()


# Lifetimes are a fraction of a second at the size that publications have on the wire.
@pytest.mark.parametrize("kind, document, options, lifetime", [
    ("storm:", short, {}, 50_000),
    pytest.param("delta:", long, {"delta": "fossil"}, 15_000, marks=pytest.mark.feature("delta")),
], ids=["plain", "delta"])
def test_nothing_is_lost_or_doubled_for_any_sdk(request, drivers, hub, fresh, kind, document, options, lifetime):
    seed = request.config.getoption("--seed")
    seed = random.randrange(1 << 32) if seed is None else seed
    reconnects = request.config.getoption("--reconnects")
    print(f"--seed {seed}")
    channel = fresh(kind)
    publisher = Publisher(hub, channel, document)
    with ExitStack() as stack:
        storms = []
        for flavour in FLAVOURS:
            storms.append(Storm(hub, drivers, flavour, seed, lifetime, publisher))
            stack.callback(storms[-1].close)
        # The first connections are left alone, so that there is a position to recover from.
        for storm in storms:
            storm.client.connect()
            storm.client.subscribe(channel, **options)
        publisher.start()
        stack.callback(publisher.finish)
        for storm in storms:
            storm.begin()
        until = time.monotonic() + reconnects / 4

        def enough():
            fewest = min(storm.proxy.cuts for storm in storms)
            return publisher.failure or fewest >= reconnects or fewest >= FEWEST and time.monotonic() > until
        eventually(enough, lambda: f"cuts; there were {[storm.proxy.cuts for storm in storms]} (--seed {seed})",
                   within=60 + reconnects / 4)
        for storm in storms:
            storm.end()
        count = publisher.finish()
        for storm in storms:
            verify(storm, channel, count, seed)


def verify(storm, channel, count, seed):
    """Waits for the last publication, since who is cut off comes back by itself, and looks at all of them."""
    where = f"{storm.flavour}, --seed {seed}"
    storm.client.until("publication", channel, count, within=60)
    got = storm.client.by_kind(channel)
    offsets = [one["offset"] for one in got["publication"]]
    assert offsets == list(range(1, count + 1)), f"{first_break(offsets)} ({where})"
    assert [one["data"]["n"] for one in got["publication"]] == offsets, where
    assert all(one["recovered"] for one in got["subscribed"] if one["was_recovering"]), where
    print(f"{storm.flavour}: {storm.proxy.cuts} cuts of {storm.proxy.accepted} connections, {count} publications, "
          f"{len(got['subscribed'])} recoveries")


def first_break(offsets):
    for at, offset in enumerate(offsets):
        if offset != at + 1:
            return f"at {at}: {offsets[max(0, at - 5):at + 5]}"
    return f"{len(offsets)} of them"
