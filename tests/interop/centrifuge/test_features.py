"""The table of features is what it says: everything in it is tested, and what fanfare need not do is counted here."""

import json
import re
import tomllib

import pytest

from features import FEATURES, SDK_LACKS
from sdk import FLAVOURS
from target import HERE, VARIANTS

# Each test names one; these are about the suite itself.
pytestmark = pytest.mark.feature("connect")

# How many features fanfare may lack. A number beside the table: who adds an exception for it has to say so twice.
FANFARE_LACKS = 1


def test_fanfare_lacks_no_more_than_is_said():
    assert sum("fanfare" in lacking for lacking in FEATURES.values()) == FANFARE_LACKS


def test_every_feature_is_tested_and_every_exception_is_of_something():
    tests = "".join(file.read_text() for file in HERE.glob("test_*.py"))
    named = set(re.findall(r'feature\("([^"]+)"\)', tests))
    assert named == set(FEATURES)
    for lacking in FEATURES.values():
        assert set(lacking) <= set(VARIANTS) and all(lacking.values())
    sdks = {sdk for sdk, _, _ in FLAVOURS.values()} | set(FLAVOURS)
    assert all(sdk in sdks and feature in FEATURES and reason for (sdk, feature), reason in SDK_LACKS.items())


def test_both_configurations_have_the_same_namespaces_with_the_same_history():
    namespaces = json.loads((HERE / "centrifugo.json").read_text())["channel"]["namespaces"]
    topics = tomllib.loads((HERE / "fanfare.toml").read_text())["topics"]
    of_centrifugo = [(f'{one["name"]}:*', one.get("history_size", 0), one.get("history_ttl")) for one in namespaces]
    of_fanfare = [(one["pattern"], one.get("history", {}).get("size", 0), one.get("history", {}).get("ttl"))
                  for one in topics if one["pattern"] not in ("*", "*:*") and "wildcards" not in one]
    assert of_fanfare == of_centrifugo
