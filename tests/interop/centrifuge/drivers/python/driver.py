"""centrifuge-python, driven by lines of JSON: commands come on stdin, answers and events go to stdout.

The vocabulary is described in ../../sdk.py and is the same for every SDK."""

import asyncio
import base64
import json
import sys

from centrifuge import Client, ClientEventHandler, SubscriptionEventHandler
from centrifuge import DeltaType, StreamPosition, UnauthorizedError
from centrifuge.filter import FilterNode

CLIENTS = {}


def say(line):
    sys.stdout.write(json.dumps(line) + "\n")
    sys.stdout.flush()


class Driven:
    """One client of the SDK, and what it tells."""

    def __init__(self, name, what):
        self.name = name
        self.binary = what["format"] == "protobuf"
        options = {}
        if "token" in what:
            options["token"] = what["token"]
        if "tokens" in what:
            options["get_token"] = self.hand_out(what["tokens"], None)
        if "data" in what:
            options["data"] = self.out(what["data"])
        if "name" in what:
            options["name"] = what["name"]
        self.sdk = Client(
            what["base"].replace("http", "ws", 1) + "/connection/websocket", events=OfClient(self),
            use_protobuf=self.binary, min_reconnect_delay=0.02, max_reconnect_delay=0.15, proxy=None, **options)

    def tell(self, event, **what):
        say({"event": event, "of": self.name, **{key: value for key, value in what.items() if value is not None}})

    def hand_out(self, tokens, channel):
        """The application's tokens, one per call; when they are used up, it refuses."""
        async def next_token(*_):
            self.tell("token-asked", channel=channel)
            if not tokens:
                raise UnauthorizedError()
            return tokens.pop(0)
        return next_token

    def out(self, payload):
        """A payload as the SDK takes it."""
        if not self.binary:
            return payload["json"]
        if "b64" in payload:
            return base64.b64decode(payload["b64"])
        return json.dumps(payload["json"], separators=(",", ":")).encode()

    def given(self, payload):
        """A payload as the SDK gives it, for the line."""
        if self.binary:
            return None if payload is None else {"b64": base64.b64encode(payload).decode()}
        return {"json": payload}

    def info(self, info):
        if info is None:
            return None
        line = {"client": info.client, "user": info.user}
        if info.conn_info is not None:
            line["conn_info"] = self.given(info.conn_info)
        if info.chan_info is not None:
            line["chan_info"] = self.given(info.chan_info)
        return line

    def publication(self, channel, pub):
        return {"channel": channel, "data": self.given(pub.data), "offset": pub.offset, "tags": pub.tags or {},
                "info": self.info(pub.info)}

    def subscription(self, ctx):
        position = ctx.stream_position
        return {"channel": ctx.channel, "recoverable": ctx.recoverable, "positioned": ctx.positioned,
                "was_recovering": ctx.was_recovering, "recovered": ctx.recovered,
                "position": position and {"offset": position.offset, "epoch": position.epoch},
                "data": self.given(ctx.data) if ctx.data is not None else None}

    async def subscribe(self, what):
        channel = what["channel"]
        options = {key: what[key] for key in ("positioned", "recoverable", "join_leave", "token") if key in what}
        if "tokens" in what:
            options["get_token"] = self.hand_out(what["tokens"], channel)
        if "data" in what:
            options["data"] = self.out(what["data"])
        if "delta" in what:
            options["delta"] = DeltaType(what["delta"])
        if "filter" in what:
            options["tags_filter"] = FilterNode(what["filter"])
        if "states" in what:
            states = what["states"]

            async def next_state(_):
                self.tell("state-asked", channel=channel)
                return StreamPosition(**(states.pop(0) if len(states) > 1 else states[0]))
            options["get_state"] = next_state
        subscription = self.sdk.new_subscription(
            channel, events=OfSubscription(self, channel), min_resubscribe_delay=0.02, max_resubscribe_delay=0.15,
            **options)
        await subscription.subscribe()

    async def do(self, verb, what):
        channel = what.get("channel")
        if verb == "connect":
            await self.sdk.connect()
        elif verb == "disconnect":
            await self.sdk.disconnect()
        elif verb == "subscribe":
            await self.subscribe(what)
        elif verb == "unsubscribe":
            await self.sdk.get_subscription(channel).unsubscribe()
        elif verb == "resubscribe":
            await self.sdk.get_subscription(channel).subscribe()
        elif verb == "publish":
            await self.sdk.publish(channel, self.out(what["data"]))
        elif verb == "rpc":
            return {"data": self.given((await self.sdk.rpc(what["method"], self.out(what["data"]))).data)}
        elif verb == "history":
            since = what.get("since")
            result = await self.sdk.history(
                channel, limit=what.get("limit", 0), since=since and StreamPosition(**since),
                reverse=what.get("reverse", False))
            publications = [self.publication(channel, pub) for pub in result.publications]
            return {"publications": publications, "offset": result.offset, "epoch": result.epoch}
        elif verb == "presence":
            result = await self.sdk.presence(channel)
            return {"clients": {key: self.info(info) for key, info in result.clients.items()}}
        elif verb == "presence_stats":
            result = await self.sdk.presence_stats(channel)
            return {"num_clients": result.num_clients, "num_users": result.num_users}
        else:
            raise ValueError(f"no verb {verb}")
        return {}


class OfClient(ClientEventHandler):
    def __init__(self, driven):
        self.driven = driven

    async def on_connecting(self, ctx):
        self.driven.tell("connecting", code=ctx.code, reason=ctx.reason)

    async def on_connected(self, ctx):
        data = None if ctx.data is None else self.driven.given(ctx.data)
        self.driven.tell("connected", client=ctx.client, version=ctx.version, data=data)

    async def on_disconnected(self, ctx):
        self.driven.tell("disconnected", code=ctx.code, reason=ctx.reason)

    async def on_error(self, ctx):
        self.driven.tell("error", code=getattr(ctx.error, "code", ctx.code), message=str(ctx.error))

    async def on_subscribing(self, ctx):
        self.driven.tell("server-subscribing", channel=ctx.channel)

    async def on_subscribed(self, ctx):
        self.driven.tell("server-subscribed", **self.driven.subscription(ctx))

    async def on_unsubscribed(self, ctx):
        self.driven.tell("server-unsubscribed", channel=ctx.channel)

    async def on_publication(self, ctx):
        self.driven.tell("server-publication", **self.driven.publication(ctx.channel, ctx.pub))

    async def on_join(self, ctx):
        self.driven.tell("server-join", channel=ctx.channel, info=self.driven.info(ctx.info))

    async def on_leave(self, ctx):
        self.driven.tell("server-leave", channel=ctx.channel, info=self.driven.info(ctx.info))


class OfSubscription(SubscriptionEventHandler):
    def __init__(self, driven, channel):
        self.driven = driven
        self.channel = channel

    def tell(self, event, **what):
        self.driven.tell(event, **{"channel": self.channel, **what})

    async def on_subscribing(self, ctx):
        self.tell("subscribing", code=ctx.code, reason=ctx.reason)

    async def on_subscribed(self, ctx):
        self.tell("subscribed", **self.driven.subscription(ctx))

    async def on_unsubscribed(self, ctx):
        self.tell("unsubscribed", code=ctx.code, reason=ctx.reason)

    async def on_error(self, ctx):
        self.tell("subscription-error", code=getattr(ctx.error, "code", ctx.code), message=str(ctx.error))

    async def on_publication(self, ctx):
        self.tell("publication", **self.driven.publication(self.channel, ctx.pub))

    async def on_join(self, ctx):
        self.tell("join", info=self.driven.info(ctx.info))

    async def on_leave(self, ctx):
        self.tell("leave", info=self.driven.info(ctx.info))


async def take(line):
    name, verb = line.pop("client"), line.pop("verb")
    number = line.pop("id")
    try:
        answer = {}
        if verb == "new":
            CLIENTS[name] = Driven(name, line)
        elif verb == "drop":
            await CLIENTS.pop(name).sdk.disconnect()
        else:
            answer = await CLIENTS[name].do(verb, line)
        say({"id": number, "answer": answer})
    except Exception as error:  # every failure of the SDK is an answer
        refusal = {"code": getattr(error, "code", None), "message": f"{type(error).__name__}: {error}",
                   "temporary": getattr(error, "temporary", False)}
        say({"id": number, "refusal": refusal})


async def main():
    reader = asyncio.StreamReader(limit=1 << 24)
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    running = set()
    while line := await reader.readline():
        task = asyncio.ensure_future(take(json.loads(line)))
        running.add(task)
        task.add_done_callback(running.discard)


asyncio.run(main())
