"""What the suite asks of whom. Nothing is skipped but what stands here, and a run says what it skipped.

A test names the feature it is about (`pytest.mark.feature`); a skip or an expected failure anywhere else is a failure.
"""

# feature: {target: why it need not have it}. Empty: everyone must.
FEATURES = {
    "connect": {},
    "connection tokens": {},
    "connection refresh": {},
    "connection limits": {},
    "subscribe": {},
    "publish": {},
    "publish order": {
        "fanfare": "answers before publications: a reply never waits behind what is owed, so that pongs are fast under load",
    },
    "payloads": {},
    "carriage returns": {
        "centrifugo": "takes newlines out of JSON, and leaves carriage returns, which end a line of SSE",
    },
    "history": {},
    "presence": {},
    "join and leave": {},
    "subscription tokens": {},
    "subscription refresh": {},
    "server-side subscriptions": {},
    "personal channels": {},
    "user-limited channels": {},
    "disconnect": {},
    "recovery": {},
    "unrecoverable position": {},
    "cache recovery": {},
    "delta": {},
    "tags filter": {},
    "rpc": {},
    "send": {},
    "ping": {},
    "hooks": {},
    "emulated headers": {},
    "emulation": {},
    "unidirectional": {},
    "protocol violations": {},
    "limits": {},
    "protobuf": {},
    "server api": {},
    "storm": {},
    "wildcards": {"centrifugo": "has none in its open version"},
}

# (SDK or flavour, feature): why there is nothing to test.
SDK_LACKS = {
    ("python", "send"): "centrifuge-python 0.7.0 has no send",
    ("python", "emulated headers"): "centrifuge-python 0.7.0 sends headers as headers only",
    ("go", "emulated headers"): "centrifuge-go 0.12.1 sends headers as headers only",
}
