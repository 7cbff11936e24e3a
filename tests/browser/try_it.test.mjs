// The try-it page: two live clients side by side.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";

import { count, fitsTheWidth, isReadableInBothSchemes, launch, open, says, tabTo } from "./browser.mjs";
import { eventually, startHub } from "./hub.mjs";

let hub;
let browser;
before(async () => {
  hub = await startHub("config/demo.toml");
  browser = await launch();
});
after(async () => {
  await browser?.close();
  await hub?.stop();
});

let topics = 0;
/** A page on a topic of its own, so that tests do not hear each other. */
async function openPage(t, options) {
  return open(browser, t, `${hub.origin}/?topic=test-${++topics}`, options);
}

const client = (page, id) => ({
  card: page.locator(`#${id}`),
  button: (action) => page.locator(`#${id} [data-action="${action}"]`),
  text: page.locator(`#${id} [data-role="text"]`),
  status: page.locator(`#${id} [data-role="status"]`),
  messages: page.locator(`#${id} [data-role="message-text"]`),
  notes: page.locator(`#${id} [data-role="note"]`),
  is: (state) => page.locator(`#${id}[data-state="${state}"]`).waitFor(),
  async say(text) {
    await this.text.fill(text);
    await this.button("send").click();
  },
});

async function bothLive(page) {
  await page.locator('[data-action="connect-both"]').click();
  const [left, right] = [client(page, "left"), client(page, "right")];
  await left.is("live");
  await right.is("live");
  return [left, right];
}

test("a message crosses from one client to the other, and its latency is shown", async (t) => {
  const page = await openPage(t);
  const [left, right] = await bothLive(page);
  await left.say("from the left");
  await says(right.messages, "from the left");
  await says(left.messages, "from the left");
  await right.say("from the right");
  await says(left.messages, "from the right");
  for (const side of [left, right]) {
    await says(side.card.locator('[data-role="message-aside"]'), /\d ?ms|\d s/);
    await says(side.card.locator('[data-role="latency-median"]'), /\d/);
    await says(side.card.locator('[data-role="received"]'), "2");
  }
});

test("what is published by HTTP reaches both, and the receipt counts them", async (t) => {
  const page = await openPage(t);
  const [left, right] = await bothLive(page);
  await page.locator('[data-role="publish-text"]').fill("by HTTP");
  await page.locator('[data-action="publish"]').click();
  await says(left.messages, "by HTTP");
  await says(right.messages, "by HTTP");
  await says(page.locator('[data-role="publish-said"]'), "2 receivers");
});

for (const [transport, cut, other] of [["WebSocket", "left", "right"], ["SSE", "right", "left"]]) {
  test(`a ${transport} client whose plug is pulled comes back with exactly what it missed`, async (t) => {
    const page = await openPage(t);
    await bothLive(page);
    const [unplugged, live] = [client(page, cut), client(page, other)];
    await live.say("before");
    await says(unplugged.messages, "before");
    await unplugged.button("plug").click();
    await unplugged.is("unplugged");
    for (const number of [1, 2, 3]) {
      await live.say(`missed ${number}`);
      await says(live.messages, `missed ${number}`);
    }
    assert.deepEqual(await unplugged.messages.allTextContents(), ["before"]);
    await unplugged.button("plug").click();
    await unplugged.is("live");
    await says(unplugged.notes, "Missed 3 while unplugged, all recovered.");
    await live.say("after");
    await says(unplugged.messages, "after");
    assert.deepEqual(await unplugged.messages.allTextContents(), ["before", "missed 1", "missed 2", "missed 3", "after"]);
    await count(unplugged.card.locator(".row.recovered"), 3);
  });
}

test("a client that changes its transport goes on where it was", async (t) => {
  const page = await openPage(t);
  const [left, right] = await bothLive(page);
  await left.say("one");
  await says(right.messages, "one");
  await right.card.locator('[data-transport="websocket"]').check({ force: true });
  await right.is("live");
  await left.say("two");
  await says(right.messages, "two");
  assert.deepEqual(await right.messages.allTextContents(), ["one", "two"]);
});

test("a closed client hears nothing more, and the other goes on", async (t) => {
  const page = await openPage(t);
  const [left, right] = await bothLive(page);
  await right.button("close").click();
  await right.is("idle");
  await left.say("alone");
  await says(left.messages, "alone");
  assert.deepEqual(await right.messages.allTextContents(), []);
});

test("a message with markup is shown as the text it is", async (t) => {
  const page = await openPage(t);
  const [left, right] = await bothLive(page);
  const markup = '<img src="x" onerror="window.ran = true"><script>window.ran = true</script>';
  await left.say(markup);
  await says(right.messages, markup);
  assert.equal(await page.evaluate(() => window.ran), undefined);
});

test("a name that is no topic is refused with the reason", async (t) => {
  const page = await openPage(t);
  await page.locator("#topic").fill("x".repeat(256));
  await page.locator('[data-action="connect-both"]').click();
  await says(page.locator('[data-role="topic-said"]'), "at most 255 bytes");
});

test("the code on the page does what it says", async (t) => {
  const page = await openPage(t);
  await page.locator('[data-role="publish-text"]').fill("it's \"quoted\"");
  for (const sample of ["websocket", "eventsource"]) {
    const code = await page.locator(`#code-${sample} [data-role="code"]`).textContent();
    const lines = [];
    const runner = await open(browser, t, hub.origin);
    runner.on("console", (message) => lines.push(message.text()));
    await runner.evaluate(code);
    await eventually(() => lines.some((line) => line.includes("it's \"quoted\"")), () => `${sample} logged ${lines}`);
  }
});

test("the code is copied to the clipboard", async (t) => {
  const page = await openPage(t, { permissions: ["clipboard-read", "clipboard-write"] });
  await page.locator('#code-curl-publish [data-action="copy"]').click();
  await says(page.locator('#code-curl-publish [data-action="copy"]'), "Copied");
  const shown = await page.locator('#code-curl-publish [data-role="code"]').textContent();
  assert.equal(await page.evaluate(() => navigator.clipboard.readText()), shown);
  assert.ok(shown.includes(hub.origin), shown);
});

test("everything can be done by keyboard", async (t) => {
  const page = await openPage(t);
  await tabTo(page, "#topic");
  await page.keyboard.press("Enter");
  const [left, right] = [client(page, "left"), client(page, "right")];
  await left.is("live");
  await right.is("live");
  await tabTo(page, '#left [data-action="plug"]');
  await page.keyboard.press("Space");
  await left.is("unplugged");
  await page.keyboard.press("Enter");
  await left.is("live");
  await tabTo(page, '#left [data-role="text"]');
  await page.keyboard.type("typed ");
  await page.keyboard.press("Enter");
  await says(right.messages, "typed");
  await tabTo(page, '#right [data-action="close"]');
  await page.keyboard.press("Enter");
  await right.is("idle");
  await tabTo(page, '[data-action="publish"]');
  await tabTo(page, '#code-curl-subscribe [data-action="copy"]');
});

test("the page fits every width, also with long messages", async (t) => {
  const page = await openPage(t);
  const [left, right] = await bothLive(page);
  await left.say("x".repeat(500));
  await count(right.messages, 1);
  await fitsTheWidth(page);
});

test("a message crosses on a phone", async (t) => {
  const page = await openPage(t, { viewport: { width: 390, height: 844 }, hasTouch: true, isMobile: true });
  await page.locator('[data-action="connect-both"]').tap();
  const [left, right] = [client(page, "left"), client(page, "right")];
  await left.is("live");
  await right.is("live");
  await left.text.fill("by thumb");
  await left.button("send").tap();
  await says(right.messages, "by thumb");
});

test("the page is readable in light and dark", async (t) => {
  await isReadableInBothSchemes(await openPage(t));
});
