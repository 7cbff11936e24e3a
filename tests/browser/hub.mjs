// A hub of its own for a test file: the real program, on a free port, until the tests are done.

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { createServer } from "node:net";
import { fileURLToPath } from "node:url";

const ROOT = new URL("../../", import.meta.url);

async function freePort() {
  const probe = createServer().listen(0, "127.0.0.1");
  await once(probe, "listening");
  const { port } = probe.address();
  probe.close();
  await once(probe, "close");
  return port;
}

/** The first true answer of `look`; fails with `what` if there is none within the deadline. */
export async function eventually(look, what, withinMs = 15000) {
  const deadline = Date.now() + withinMs;
  for (;;) {
    const found = await look();
    if (found) return found;
    assert.ok(Date.now() < deadline, `not within ${withinMs} ms: ${what()}`);
    await new Promise((resolve) => setTimeout(resolve, 25));
  }
}

/** Starts the hub on a configuration of the tree, such as "config/demo.toml", and waits until it is ready. */
export async function startHub(config) {
  const program = process.env.FANFARE_BIN;
  assert.ok(program, "FANFARE_BIN names no hub: run `cargo xtask test browser`");
  const port = await freePort();
  // The runner's own variables are no configuration of the hub.
  const own = Object.entries(process.env).filter(([name]) => !name.startsWith("FANFARE_"));
  const env = { ...Object.fromEntries(own), FANFARE_SERVER__LISTEN: `["127.0.0.1:${port}"]` };
  const file = fileURLToPath(new URL(config, ROOT));
  const hub = spawn(program, ["--config", file, "serve"], { env, stdio: ["ignore", "pipe", "pipe"] });
  let log = "";
  for (const stream of [hub.stdout, hub.stderr]) stream.on("data", (chunk) => { log += chunk; });
  const ended = once(hub, "exit");
  const origin = `http://127.0.0.1:${port}`;
  try {
    await eventually(async () => {
      assert.equal(hub.exitCode, null, `the hub ended:\n${log}`);
      return fetch(`${origin}/health/ready`).then((answer) => answer.ok, () => false);
    }, () => `the hub is ready:\n${log}`);
  } catch (error) {
    hub.kill("SIGKILL");
    throw error;
  }
  return {
    origin,
    /** Drains the hub; it must exit with 0. */
    async stop() {
      hub.kill("SIGTERM");
      // A hub that does not end would keep the runner waiting until its own deadline, without saying why.
      const late = setTimeout(() => hub.kill("SIGKILL"), 20000);
      const [code] = await ended;
      clearTimeout(late);
      assert.equal(code, 0, `the hub did not drain:\n${log}`);
    },
  };
}
