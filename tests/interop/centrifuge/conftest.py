"""What the tests share: hubs, SDKs, and the rule that nothing is skipped silently."""

import itertools

import pytest

import sdk as sdks
from backend import Backend
from cutting_proxy import CuttingProxy
from features import FEATURES, SDK_LACKS
from target import Target


def pytest_addoption(parser):
    parser.addoption("--target", required=True, help="fanfare, or centrifugo=PATH of the program")
    parser.addoption("--reconnects", type=int, default=100, help="how many cuts a storm has")
    parser.addoption("--seed", type=int, help="of the storms; printed by each run")


def pytest_collection_modifyitems(config, items):
    target = config.getoption("--target").partition("=")[0]
    for item in items:
        marks = [mark.args[0] for mark in item.iter_markers("feature")]
        if not marks or not set(marks) <= set(FEATURES):
            raise pytest.UsageError(f"{item.nodeid} names no feature of features.py: {marks}")
        flavour = getattr(item, "callspec", None) and item.callspec.params.get("flavour")
        sdk = flavour and sdks.FLAVOURS[flavour][0]
        for feature in marks:
            reason = FEATURES[feature].get(target) or SDK_LACKS.get((sdk, feature)) or SDK_LACKS.get((flavour, feature))
            if reason:
                item.add_marker(pytest.mark.skip(reason=f"{feature}: {reason}"))
                item.listed = True


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item, call):
    report = yield
    if (report.skipped or hasattr(report, "wasxfail")) and not getattr(item, "listed", False):
        report.outcome = "failed"
        report.longrepr = f"{item.nodeid} was skipped, and features.py says nothing of it: {report.longrepr}"
        if hasattr(report, "wasxfail"):
            del report.wasxfail
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report(collector):
    report = yield
    if report.skipped:
        report.outcome = "failed"
        report.longrepr = f"{collector.nodeid} was skipped as a whole: {report.longrepr}"
    return report


@pytest.fixture(scope="session")
def backend_of_all():
    backend = Backend()
    yield backend
    backend.stop()


@pytest.fixture
def backend(backend_of_all):
    """The application's backend that the hooks ask; nothing is left of other tests."""
    backend_of_all.forget()
    yield backend_of_all
    backend_of_all.forget()


@pytest.fixture(scope="session")
def hubs(request, tmp_path_factory, backend_of_all):
    """Hubs by variant, started when first asked for."""
    target = Target(request.config.getoption("--target"))
    running = {}

    def hub(variant):
        if variant not in running:
            running[variant] = target.start(variant, tmp_path_factory.mktemp(variant), backend_of_all.base)
        return running[variant]
    yield hub
    for one in running.values():
        one.stop()


@pytest.fixture
def hub(hubs):
    """The hub that anyone may connect to. Tests use channels of their own."""
    return hubs("open")


@pytest.fixture
def strict(hubs):
    """The hub that asks for tokens and has no patience."""
    return hubs("strict")


@pytest.fixture
def hooked(hubs):
    """The hub that asks the backend who may connect."""
    return hubs("hooked")


NUMBERS = itertools.count(1)


@pytest.fixture
def fresh():
    """Names that no other test has: `fresh("hh:x")`, `fresh("user")`."""
    return lambda stem: f"{stem}{next(NUMBERS)}"


@pytest.fixture(scope="session")
def drivers():
    running = {}

    def driver(name):
        # One that ended has failed its test, and must not fail the others.
        if name not in running or running[name].has_ended():
            running[name] = sdks.Driver(name)
        return running[name]
    yield driver
    for one in running.values():
        one.stop()


@pytest.fixture(params=list(sdks.FLAVOURS))
def flavour(request):
    return request.param


@pytest.fixture
def sdk(every, flavour):
    """Makes clients of one SDK, transport and format: `sdk(at=hub, token=…)`. Each test runs with all of them."""
    return every[flavour]


@pytest.fixture
def every(drivers, hub):
    """Makers of clients as `sdk` is one, by flavour: for tests that take seconds of waiting, which all can do together."""
    clients = []

    def maker(flavour):
        def make(at=hub, **options):
            client = drivers(sdks.FLAVOURS[flavour][0]).client(flavour, at.base, **options)
            clients.append(client)
            return client
        return make
    yield {flavour: maker(flavour) for flavour in sdks.FLAVOURS}
    for client in clients:
        client.drop()


@pytest.fixture
def proxy(hub):
    """A way to the open hub that can be cut."""
    with CuttingProxy(hub.address) as proxy:
        yield proxy
