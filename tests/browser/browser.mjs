// Chromium, as the tests drive it.

import assert from "node:assert/strict";
import { createRequire } from "node:module";
import { join } from "node:path";

// The packages are in the cache folder, where imports by name would not find them.
const { FANFARE_NODE_MODULES: packages, FANFARE_CHROMIUM: executablePath } = process.env;
assert.ok(packages && executablePath, "no Chromium or no packages: run `cargo xtask test browser`");
const { chromium } = createRequire(join(packages, "here.cjs"))("playwright-core");

/** How long anything on a page may take; generous, since two cores may be busy with a build. */
const SOON_MS = 15000;

export function launch() {
  return chromium.launch({
    executablePath,
    headless: true,
    args: [
      // Root, as in most containers, has no sandbox; the only pages are ours.
      "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
      "--disable-background-networking", "--disable-component-update", "--disable-sync",
      // A container's /dev/shm may be too small.
      "--disable-dev-shm-usage",
    ],
  });
}

/**
 * Opens `url` in a context of its own, and closes it when the test is done. Whatever goes wrong on the page, and
 * whatever it asks of another host, fails the test.
 */
export async function open(browser, test, url, options = {}) {
  const context = await browser.newContext(options);
  context.setDefaultTimeout(SOON_MS);
  const page = await context.newPage();
  const wrong = [];
  const { origin } = new URL(url);
  page.on("pageerror", (error) => wrong.push(`error on the page: ${error}`));
  page.on("console", (message) => { if (message.type() === "error") wrong.push(`console: ${message.text()}`); });
  page.on("dialog", (dialog) => { wrong.push(`dialog: ${dialog.message()}`); dialog.dismiss(); });
  page.on("request", (request) => {
    const asked = new URL(request.url());
    if (asked.protocol !== "data:" && asked.protocol !== "blob:" && asked.origin !== origin) wrong.push(`asked ${asked}`);
  });
  test.after(async () => {
    await context.close();
    assert.deepEqual(wrong, []);
  });
  await page.goto(url);
  return page;
}

/** Waits until `locator` matches exactly `count` elements. */
export async function count(locator, expected) {
  await locator.nth(expected - 1).waitFor({ state: "attached" });
  assert.equal(await locator.count(), expected);
}

/** Waits until the text of `locator` matches. */
export async function says(locator, pattern) {
  await locator.filter({ hasText: pattern }).first().waitFor();
}

/** No page may be wider than the window, however narrow that is. */
export async function fitsTheWidth(page, widths = [320, 390, 768, 1280]) {
  for (const width of widths) {
    await page.setViewportSize({ width, height: 800 });
    const wide = await page.evaluate(() => document.documentElement.scrollWidth);
    assert.ok(wide <= width, `${wide} pixels wide in a window of ${width}`);
  }
}

/** In the light scheme ink on paper, in the dark one paper on ink, both well readable (WCAG AA: 4.5 to 1). */
export async function isReadableInBothSchemes(page) {
  const papers = {};
  for (const colorScheme of ["light", "dark"]) {
    await page.emulateMedia({ colorScheme, reducedMotion: "reduce" });
    const [ink, paper] = await page.evaluate(() => {
      const { color, backgroundColor } = getComputedStyle(document.body);
      return [color, backgroundColor].map((value) => value.match(/[\d.]+/g).slice(0, 3).map(Number));
    });
    papers[colorScheme] = luminance(paper);
    const [dark, light] = [luminance(ink), luminance(paper)].sort((a, b) => a - b);
    const contrast = (light + 0.05) / (dark + 0.05);
    assert.ok(contrast >= 4.5, `contrast ${contrast} in the ${colorScheme} scheme`);
  }
  assert.ok(papers.light > 0.5 && papers.dark < 0.2, `paper of luminance ${JSON.stringify(papers)}`);
}

/** Relative luminance (WCAG 2). */
function luminance(rgb) {
  const [r, g, b] = rgb.map((value) => value / 255).map((v) => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
  return 0.2126 * r + 0.7152 * g + 0.0722 * b;
}

/** Presses Tab until an element that matches `selector` has the focus, as someone without a mouse does. */
export async function tabTo(page, selector, limit = 60) {
  for (let presses = 0; presses < limit; presses++) {
    await page.keyboard.press("Tab");
    if (await page.evaluate((selector) => document.activeElement?.matches(selector), selector)) {
      const visible = await page.evaluate(() => {
        const { outlineStyle, outlineWidth } = getComputedStyle(document.activeElement);
        return outlineStyle !== "none" && parseFloat(outlineWidth) > 0;
      });
      // A hidden radio shows its focus on the label beside it.
      assert.ok(visible || selector.includes("radio"), `${selector} does not show that it has the focus`);
      return;
    }
  }
  assert.fail(`${selector} is not reached with ${limit} presses of Tab`);
}
