// Tutorial 2: the page of the handler.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";

import { fitsTheWidth, isReadableInBothSchemes, launch, open, says } from "./browser.mjs";
import { startHub } from "./hub.mjs";

let hub;
let browser;
before(async () => {
  hub = await startHub("config/tutorials/handler.toml");
  browser = await launch();
});
after(async () => {
  await browser?.close();
  await hub?.stop();
});

const button = (page, action) => page.locator(`[data-action="${action}"]`);
const received = (page) => page.locator('[data-role="log"] [data-kind="received"]');
const status = (page) => page.locator('[data-role="status"]');

test("connect, send and close do what they say", async (t) => {
  const page = await open(browser, t, hub.origin);
  await button(page, "connect").click();
  await says(status(page), "Connected");
  await page.locator('[data-role="message"]').fill("hello");
  await button(page, "send").click();
  await says(received(page), "You said: hello");
  await button(page, "close").click();
  await says(status(page), "Closed");
  await says(page.locator('[data-role="log"]'), "1000");
});

test("binary is answered as binary", async (t) => {
  const page = await open(browser, t, hub.origin);
  await button(page, "connect").click();
  await says(status(page), "Connected");
  await button(page, "example-binary").click();
  // "You said: " and the six bytes.
  await says(received(page), "16 bytes: 59 6f 75 20 73 61 69 64 3a 20 00 01 02 fd fe ff");
});

test("Enter sends and Shift+Enter breaks the line", async (t) => {
  const page = await open(browser, t, hub.origin);
  await button(page, "connect").click();
  await says(status(page), "Connected");
  await page.locator('[data-role="message"]').fill("one");
  await page.keyboard.press("Shift+Enter");
  await page.keyboard.type("two");
  await page.keyboard.press("Enter");
  await says(received(page), /You said: one\s+two/);
});

test("nothing is sent before connecting", async (t) => {
  const page = await open(browser, t, hub.origin);
  await button(page, "send").click();
  await says(page.locator('[data-role="log"]'), "Connect first");
  assert.equal(await received(page).count(), 0);
});

test("the page fits every width and both schemes", async (t) => {
  const page = await open(browser, t, hub.origin);
  await fitsTheWidth(page);
  await isReadableInBothSchemes(page);
});
