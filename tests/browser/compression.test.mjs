// permessage-deflate, as a real browser offers it and does it.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";

import { launch, open } from "./browser.mjs";
import { eventually, startHub } from "./hub.mjs";
import { startWire } from "./wire.mjs";

let hub;
let wire;
let browser;
before(async () => {
  hub = await startHub("tests/browser/compression.toml");
  wire = await startWire(hub.origin);
  browser = await launch();
});
after(async () => {
  await browser?.close();
  await wire?.stop();
  await hub?.stop();
});

/** Opens a page with a WebSocket on `topic`; returns the page and the extensions that its socket has. */
async function subscribe(t, topic) {
  const page = await open(browser, t, wire.origin);
  const extensions = await page.evaluate((topic) => new Promise((resolve, reject) => {
    window.heard = [];
    const socket = new WebSocket(`ws://${location.host}/topics/${topic}`);
    socket.binaryType = "arraybuffer";
    socket.onmessage = ({ data }) => window.heard.push(typeof data === "string" ? data : [...new Uint8Array(data)]);
    socket.onopen = () => resolve(socket.extensions);
    socket.onerror = () => reject(new Error("the WebSocket was refused"));
    window.socket = socket;
  }), topic);
  return { page, extensions };
}

/** What the page has heard, once that is `count` messages: texts, and arrays of bytes. */
async function heard(page, count) {
  await page.waitForFunction((count) => window.heard.length >= count, count);
  return page.evaluate(() => window.heard);
}

/** Sends from the page's socket: texts, and arrays of bytes. */
function send(page, messages) {
  return page.evaluate((messages) => {
    for (const one of messages) window.socket.send(typeof one === "string" ? one : new Uint8Array(one));
  }, messages);
}

async function publish(topic, message) {
  const [type, body] =
    typeof message === "string" ? ["text/plain", message] : ["application/octet-stream", new Uint8Array(message)];
  const answer = await fetch(`${hub.origin}/topics/${topic}`, { method: "POST", body, headers: { "content-type": type } });
  assert.equal(answer.status, 200, await answer.text());
}

/** What the hub has compressed until now, before and after. It brings the figures up to date once a second. */
async function compressed() {
  const text = await fetch(`${hub.origin}/metrics`).then((answer) => answer.text());
  const of = (stage) => {
    const series = `fanfare_compression_bytes_total{stage="${stage}"} `;
    const line = text.split("\n").find((line) => line.startsWith(series));
    assert.ok(line, `no ${series}`);
    return Number(line.slice(series.length));
  };
  return { before: of("in"), after: of("out") };
}

/** The bytes of all messages together. */
const total = (messages) => messages.reduce((sum, message) => sum + Buffer.from(message).length, 0);

/** Bytes that no compressor makes smaller. */
function noise(count, seed = 1) {
  const next = () => { seed = (Math.imul(seed, 1664525) + 1013904223) >>> 0; return seed >>> 24; };
  return Array.from({ length: count }, next);
}

/** Text in several scripts and with characters outside of the basic plane, so that they are cut wherever bytes are. */
const words = (number) => `${number}: Grüße aus Zürich, привет из Москвы, 東京からこんにちは, 🎺🎉 fanfare! `.repeat(40);
const bytes = (number) => Array.from({ length: 20000 }, (_, at) => (at % 256 === 0 ? number : at % 251));

/** Worth compressing. */
const LARGE = [words(1), bytes(2), words(3).repeat(8), bytes(4)];
/** Below the threshold of 256 bytes. */
const SMALL = ["", "kurz: ✓", "ä".repeat(127), [0, 255, 128], []];
const MIXED = [LARGE[0], SMALL[0], LARGE[1], SMALL[1], SMALL[3], LARGE[2], SMALL[2], SMALL[4], LARGE[3]];

// The first test, so that what it publishes is all that the hub has compressed.
test("publications arrive whole and in order, compressed once for all pages", async (t) => {
  const pages = [await subscribe(t, "news"), await subscribe(t, "news"), await subscribe(t, "news")];
  for (const { extensions } of pages) assert.match(extensions, /^permessage-deflate; server_no_context_takeover/);
  const { down } = await wire.during(async () => {
    for (const message of MIXED) await publish("news", message);
    for (const { page } of pages) assert.deepEqual(await heard(page, MIXED.length), MIXED);
  });
  const once = total(LARGE);
  assert.ok(down < pages.length * once / 5, `${down} bytes for ${pages.length} times ${once}`);
  await eventually(async () => (await compressed()).before >= once, () => `the hub has compressed ${once} bytes`);
  const { before, after } = await compressed();
  assert.equal(before, once, "once for all, and what is small not at all");
  assert.ok(after < once / 5, `${after} bytes of ${once}`);
});

test("what does not become smaller arrives as well", async (t) => {
  const { page } = await subscribe(t, "noise");
  const messages = [noise(300), noise(5000, 2), noise(60000, 3)];
  for (const message of messages) await publish("noise", message);
  assert.deepEqual(await heard(page, messages.length), messages);
});

test("what a page sends is compressed by its browser and published whole, also to who knows no compression", async (t) => {
  const { page } = await subscribe(t, "room");
  const { page: other } = await subscribe(t, "room");
  // An event stream is never compressed.
  await other.evaluate(() => new Promise((resolve) => {
    window.events = [];
    const events = new EventSource("/topics/room");
    events.onmessage = ({ data }) => window.events.push(data);
    events.addEventListener("binary", ({ data }) => {
      window.events.push(Array.from(atob(data), (one) => one.charCodeAt(0)));
    });
    events.onopen = resolve;
  }));
  const sent = [...MIXED, noise(5000)];
  const { up } = await wire.during(async () => {
    await send(page, sent);
    assert.deepEqual(await heard(other, sent.length), sent);
  });
  assert.ok(up < 5000 + total(LARGE) / 5, `${up} bytes for ${total(sent)}`);
  assert.deepEqual(await heard(page, sent.length), sent);
  await other.waitForFunction((count) => window.events.length >= count, sent.length);
  assert.deepEqual(await other.evaluate(() => window.events), sent);
});
