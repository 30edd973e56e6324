/** A service that takes the sockets which it was handed, tells each where it listens, and greets on all of them. */
import { once } from "node:events";
import { createServer } from "node:net";
import { inheritedSockets } from "../../src/service/sockets.ts";

const addresses: unknown[] = [];
for (const fd of inheritedSockets(process.env, process.pid)) {
  const server = createServer((socket) => socket.end(`${JSON.stringify({ addresses, left })}\n`)).listen({
    fd,
  });
  await once(server, "listening");
  addresses.push(server.address());
}
const left = Object.keys(process.env).filter((name) => name.startsWith("LISTEN_"));
