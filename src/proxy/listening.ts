import { createServer, type ListenOptions, Server, type Socket } from "node:net";
import type { WorkerSettings } from "../protocol/worker.ts";

/** What the two ends of an IPC channel say about the listening sockets that come over it, one in each message. */
export type SocketMessage = { type: "socket"; index: number };

/** A client that half-closes still wants its answer; small answers go out at once. */
const options = { allowHalfOpen: true, noDelay: true };

/** Listens on every address. Throws the system error of the first that cannot be had. */
export async function listenOn(addresses: WorkerSettings["listen"]): Promise<Server[]> {
  const servers: Server[] = [];
  for (const { host, port } of addresses) {
    const server = createServer(options);
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    const where: ListenOptions = host === undefined ? { port } : { host, port };
    server.once("error", reject).listen({ ...where, backlog: 4096 }, resolve);
    await promise;
    server.off("error", reject);
    servers.push(server);
  }
  return servers;
}

/** Takes so many listening sockets from the process that forked this one. */
export async function receiveSockets(count: number): Promise<Server[]> {
  const servers: Server[] = [];
  const { promise, resolve } = Promise.withResolvers<void>();
  const receive = (message: SocketMessage, handle: unknown): void => {
    if (message.type !== "socket" || !(handle instanceof Server)) return;
    // Lost on the way: only the socket itself is handed over.
    Object.assign(handle, options);
    servers[message.index] = handle;
    if (Object.keys(servers).length === count) resolve();
  };
  process.on("message", receive);
  if (count > 0) await promise;
  process.off("message", receive);
  return servers;
}

export function onConnection(servers: readonly Server[], accept: (socket: Socket) => void): void {
  for (const server of servers) server.on("connection", accept);
}
