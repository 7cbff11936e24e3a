// Tutorial 3: the page of the chat room.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";

import { fitsTheWidth, isReadableInBothSchemes, launch, open, says } from "./browser.mjs";
import { startHub } from "./hub.mjs";

let hub;
let browser;
before(async () => {
  hub = await startHub("config/tutorials/chat-room.toml");
  browser = await launch();
});
after(async () => {
  await browser?.close();
  await hub?.stop();
});

const messages = (page) => page.locator('[data-role="log"] .message');

async function enter(t, options) {
  const page = await open(browser, t, hub.origin, options);
  await page.locator('[data-role="status"][data-state="live"]').waitFor();
  return page;
}

async function say(page, text) {
  await page.locator('[data-role="message"]').fill(text);
  await page.locator('[data-action="send"]').click();
}

test("what one says, both see", async (t) => {
  const [alice, bob] = [await enter(t), await enter(t)];
  const ids = await Promise.all([alice, bob].map((page) => page.evaluate(() => document.body.dataset.uid)));
  assert.match(ids[0], /^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/);
  assert.notEqual(ids[0], ids[1]);
  await say(alice, "hello Bob");
  await says(messages(bob), "hello Bob");
  await says(messages(alice), "hello Bob");
  await say(bob, "hello Alice");
  await says(messages(alice), "hello Alice");
  assert.ok(await messages(alice).filter({ hasText: "hello Bob" }).first().evaluate((one) => one.classList.contains("own")));
  assert.ok(await messages(bob).filter({ hasText: "hello Bob" }).first().evaluate((one) => !one.classList.contains("own")));
});

test("a script in a message does not run, not even for who joins later", async (t) => {
  const [alice, bob] = [await enter(t), await enter(t)];
  const attacks = [
    "<script>window.ran = true</script>",
    '<img src="x" onerror="window.ran = true">',
    '</p></div><svg onload="window.ran = true">',
  ];
  for (const attack of attacks) await say(alice, attack);
  await say(alice, "the last one");
  const carol = await enter(t);
  for (const page of [alice, bob, carol]) {
    await says(messages(page), "the last one");
    for (const attack of attacks) await says(messages(page), attack);
    assert.equal(await page.evaluate(() => window.ran), undefined);
    assert.equal(await page.locator('[data-role="log"] :is(script, img, svg)').count(), 0);
  }
});

test("after a reload the history is there, in the same order", async (t) => {
  const page = await enter(t);
  for (const number of [1, 2, 3]) await say(page, `kept ${number}`);
  await says(messages(page), "kept 3");
  const before = await messages(page).allTextContents();
  await page.reload();
  await page.locator('[data-role="status"][data-state="live"]').waitFor();
  await says(messages(page), "kept 3");
  assert.deepEqual(await messages(page).allTextContents(), before);
});

test("the page fits every width and both schemes, also with long messages", async (t) => {
  const page = await enter(t);
  await say(page, "x".repeat(400));
  await says(messages(page), "x".repeat(400));
  await fitsTheWidth(page);
  await isReadableInBothSchemes(page);
});
