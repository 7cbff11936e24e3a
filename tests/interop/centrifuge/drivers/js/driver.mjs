// centrifuge-js, driven by lines of JSON: commands come on stdin, answers and events go to stdout.
// The vocabulary is described in ../../sdk.py and is the same for every SDK.

import { createRequire } from "node:module";
import { join } from "node:path";
import { createInterface } from "node:readline";

// The packages are in the cache folder, where imports by name would not find them.
const packages = process.env.FANFARE_NODE_MODULES;
if (!packages) throw new Error("no packages: run `cargo xtask test centrifuge`");
const require = createRequire(join(packages, "here.cjs"));
const json = require("centrifuge");
const protobuf = require("centrifuge/build/protobuf");
const { EventSource } = require("eventsource");
const WebSocket = require("ws");

const clients = new Map();

function say(line) {
  process.stdout.write(`${JSON.stringify(line)}\n`);
}

/** One client of the SDK, and what it tells. */
class Driven {
  constructor(name, { transport, format, base, token, tokens, data, headers, name: app, timeout }) {
    this.name = name;
    this.binary = format === "protobuf";
    const { Centrifuge, UnauthorizedError } = this.binary ? protobuf : json;
    this.Unauthorized = UnauthorizedError ?? Centrifuge.UnauthorizedError;
    const options = {
      websocket: WebSocket, eventsource: EventSource, emulationEndpoint: `${base}/emulation`,
      minReconnectDelay: 20, maxReconnectDelay: 150, timeout: timeout ?? 5000,
    };
    if (token !== undefined) options.token = token;
    if (tokens) options.getToken = this.handOut(tokens);
    if (data !== undefined) options.data = this.out(data);
    if (headers) options.headers = headers;
    if (app) options.name = app;
    const socket = `${base.replace("http", "ws")}/connection/websocket`;
    const endpoint = transport === "websocket" ? socket : [{ transport, endpoint: `${base}/connection/${transport}` }];
    this.sdk = new Centrifuge(endpoint, options);
    this.sdk
      .on("connecting", (c) => this.tell("connecting", { code: c.code, reason: c.reason }))
      .on("connected", (c) => this.tell("connected", { client: c.client, transport: c.transport, ...this.given(c.data) }))
      .on("disconnected", (c) => this.tell("disconnected", { code: c.code, reason: c.reason }))
      .on("error", (c) => this.tell("error", { code: c.error?.code, message: c.error?.message }))
      .on("message", (c) => this.tell("message", this.given(c.data)))
      .on("subscribing", (c) => this.tell("server-subscribing", { channel: c.channel }))
      .on("subscribed", (c) => this.tell("server-subscribed", this.subscription(c)))
      .on("unsubscribed", (c) => this.tell("server-unsubscribed", { channel: c.channel }))
      .on("publication", (c) => this.tell("server-publication", this.publication(c)))
      .on("join", (c) => this.tell("server-join", { channel: c.channel, info: this.info(c.info) }))
      .on("leave", (c) => this.tell("server-leave", { channel: c.channel, info: this.info(c.info) }));
  }

  tell(event, what) {
    say({ event, of: this.name, ...what });
  }

  /** The application's tokens, one per call; when they are used up, it refuses. */
  handOut(tokens, channel) {
    return async () => {
      this.tell("token-asked", { channel });
      if (tokens.length === 0) throw new this.Unauthorized("");
      return tokens.shift();
    };
  }

  /** A payload as the SDK takes it. */
  out(payload) {
    if (!this.binary) return payload.json;
    return "b64" in payload ? Buffer.from(payload.b64, "base64") : Buffer.from(JSON.stringify(payload.json));
  }

  /** A payload as the SDK gives it, for the line. */
  given(payload, field = "data") {
    if (payload === undefined || payload === null) return payload === null ? { [field]: { json: null } } : {};
    return { [field]: this.binary ? { b64: Buffer.from(payload).toString("base64") } : { json: payload } };
  }

  info(info) {
    if (!info) return undefined;
    const { client, user, connInfo, chanInfo } = info;
    return { client, user, ...this.given(connInfo, "conn_info"), ...this.given(chanInfo, "chan_info") };
  }

  publication({ channel, data, offset, tags, info }) {
    return { channel, ...this.given(data), offset: offset ?? 0, tags: tags ?? {}, info: this.info(info) };
  }

  subscription({ channel, recoverable, positioned, wasRecovering, recovered, streamPosition, data }) {
    return {
      channel, recoverable: !!recoverable, positioned: !!positioned, was_recovering: !!wasRecovering,
      recovered: !!recovered, position: streamPosition, ...this.given(data),
    };
  }

  subscribe({ channel, token, tokens, data, positioned, recoverable, join_leave, delta, filter, since, states }) {
    const options = {
      positioned, recoverable, joinLeave: join_leave, delta, tagsFilter: filter, since, token,
      minResubscribeDelay: 20, maxResubscribeDelay: 150,
    };
    for (const key of Object.keys(options)) if (options[key] === undefined) delete options[key];
    if (tokens) options.getToken = this.handOut(tokens, channel);
    if (data !== undefined) options.data = this.out(data);
    if (states) {
      options.getState = async () => {
        this.tell("state-asked", { channel });
        return states.length > 1 ? states.shift() : states[0];
      };
    }
    const subscription = this.sdk.newSubscription(channel, options);
    subscription
      .on("subscribing", (c) => this.tell("subscribing", { channel, code: c.code, reason: c.reason }))
      .on("subscribed", (c) => this.tell("subscribed", this.subscription(c)))
      .on("unsubscribed", (c) => this.tell("unsubscribed", { channel, code: c.code, reason: c.reason }))
      .on("error", (c) => this.tell("subscription-error", { channel, code: c.error?.code, message: c.error?.message }))
      .on("publication", (c) => this.tell("publication", this.publication(c)))
      .on("join", (c) => this.tell("join", { channel, info: this.info(c.info) }))
      .on("leave", (c) => this.tell("leave", { channel, info: this.info(c.info) }));
    subscription.subscribe();
  }

  async do(verb, what) {
    const { channel } = what;
    switch (verb) {
      case "connect": this.sdk.connect(); return {};
      case "disconnect": this.sdk.disconnect(); return {};
      case "subscribe": this.subscribe(what); return {};
      case "unsubscribe": this.sdk.getSubscription(channel).unsubscribe(); return {};
      case "resubscribe": this.sdk.getSubscription(channel).subscribe(); return {};
      case "publish": await this.sdk.publish(channel, this.out(what.data)); return {};
      case "send": await this.sdk.send(this.out(what.data)); return {};
      case "rpc": return this.given((await this.sdk.rpc(what.method, this.out(what.data))).data);
      case "history": {
        const { limit, since, reverse } = what;
        const { publications, offset, epoch } = await this.sdk.history(channel, { limit, since, reverse });
        return { publications: publications.map((one) => this.publication({ ...one, channel })), offset, epoch };
      }
      case "presence": {
        const { clients: present } = await this.sdk.presence(channel);
        return { clients: Object.fromEntries(Object.entries(present).map(([id, info]) => [id, this.info(info)])) };
      }
      case "presence_stats": {
        const { numClients, numUsers } = await this.sdk.presenceStats(channel);
        return { num_clients: numClients, num_users: numUsers };
      }
      default: throw new Error(`no verb ${verb}`);
    }
  }
}

async function take({ id, client, verb, ...what }) {
  try {
    let answer = {};
    if (verb === "new") {
      clients.set(client, new Driven(client, what));
    } else if (verb === "drop") {
      clients.get(client).sdk.disconnect();
      clients.delete(client);
    } else {
      answer = await clients.get(client).do(verb, what);
    }
    say({ id, answer });
  } catch (error) {
    say({ id, refusal: { code: error.code ?? null, message: String(error.message ?? error), temporary: !!error.temporary } });
  }
}

// An exception inside the SDK is a finding: it ends the driver, and the test that waits for it says so.
createInterface({ input: process.stdin }).on("line", (line) => take(JSON.parse(line))).on("close", () => process.exit(0));
