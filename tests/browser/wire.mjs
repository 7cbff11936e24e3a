// The wire between a browser and the hub: whatever passes is counted, since a page sees only what its browser made of it.

import { once } from "node:events";
import { connect, createServer } from "node:net";

/** Listens on a free port and passes all connections on to `target`, an origin. */
export async function startWire(target) {
  const { hostname, port } = new URL(target);
  const open = new Set();
  const bytes = { up: 0, down: 0 };
  const server = createServer((browser) => {
    const hub = connect(port, hostname);
    for (const [from, to, way] of [[browser, hub, "up"], [hub, browser, "down"]]) {
      open.add(from);
      from.on("data", (chunk) => { bytes[way] += chunk.length; });
      from.pipe(to);
      // A browser that is closed may reset its connections.
      from.on("error", () => to.destroy());
      from.on("close", () => { open.delete(from); to.destroy(); });
    }
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  return {
    origin: `http://127.0.0.1:${server.address().port}`,
    /** The bytes that pass while `act` runs, to the hub (`up`) and from it (`down`). */
    async during(act) {
      const before = { ...bytes };
      await act();
      return { up: bytes.up - before.up, down: bytes.down - before.down };
    },
    async stop() {
      for (const socket of open) socket.destroy();
      server.close();
      await once(server, "close");
    },
  };
}
