import { createServer, type ListenOptions, Server } from "node:net";
import { type AppRoute, takesSockets, type WorkerSettings } from "../protocol/worker.ts";
import type { Listener } from "./bytes/front.ts";

/**
 * What a worker sends a sibling over the IPC channel: the routes that it has, then the listening sockets, one in each
 * message. A worker of an earlier version sends no routes, and knows no introductions.
 */
export type SiblingMessage =
  | { type: "routes"; routes: AppRoute[] }
  | { type: "socket"; index: number; isIntroduced?: boolean };

/** A listening socket, and what is to be expected of who connects to it. */
export type ListeningSocket = Required<Listener> & { server: Server };

/** Takes the connections of a socket. It is called before the first one can come. */
type Accept = (socket: ListeningSocket) => void;

/**
 * Listens on every address: with the handed socket that has it, else with one of its own. Handed sockets of other
 * addresses are closed. Throws the system error of the first address that cannot be had.
 */
export async function listenOn(
  addresses: WorkerSettings["listen"],
  accept: Accept,
  handed: readonly Server[] = [],
): Promise<ListeningSocket[]> {
  const spare = new Set(handed);
  // First of all, those that are there: clients may be connecting to them.
  const found = addresses.map((wanted) => {
    const server = [...spare].find((one) => listensAt(one, wanted));
    if (!server) return null;
    spare.delete(server);
    return accepting(server, wanted, accept);
  });
  for (const server of spare) server.close();
  const sockets: ListeningSocket[] = [];
  for (const [index, wanted] of addresses.entries()) {
    const { host, port } = wanted;
    const where = { ...(host === undefined ? {} : { host }), port, backlog: 4096 };
    sockets.push(found[index] ?? accepting(await listen(where), wanted, accept));
  }
  return sockets;
}

function accepting(
  server: Server,
  { proxyProtocol = false }: WorkerSettings["listen"][number],
  accept: Accept,
): ListeningSocket {
  const socket = { server, isIntroduced: proxyProtocol };
  accept(socket);
  return socket;
}

/** The sockets behind `count` descriptors that this process was started with, from the one behind the IPC channel on. */
export async function inheritSockets(count: number): Promise<Server[]> {
  const firstFd = 4;
  return Promise.all(Array.from({ length: count }, (_, index) => listen({ fd: firstFd + index })));
}

async function listen(where: ListenOptions & { fd?: number }): Promise<Server> {
  const server = createServer();
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  server.once("error", reject).listen(where, resolve);
  await promise;
  server.off("error", reject);
  return server;
}

function listensAt(server: Server, { host = "::", port }: WorkerSettings["listen"][number]): boolean {
  const address = server.address();
  return typeof address === "object" && address?.address === host && address.port === port;
}

/**
 * Takes so many listening sockets, and the routes, from the worker that forked this one. `isAsked`: it waits until it is
 * told that they will be taken.
 */
export async function receiveSockets(
  count: number,
  isAsked: boolean,
  accept: Accept,
  onRoutes: (routes: AppRoute[]) => void,
): Promise<ListeningSocket[]> {
  const sockets: ListeningSocket[] = [];
  const { promise, resolve } = Promise.withResolvers<void>();
  const receive = (message: SiblingMessage, handle: unknown): void => {
    if (message.type === "routes") onRoutes(message.routes);
    if (message.type !== "socket" || !(handle instanceof Server)) return;
    const { index, isIntroduced = false } = message;
    const socket = { server: handle, isIntroduced };
    accept(socket);
    sockets[index] = socket;
    if (Object.keys(sockets).length === count) resolve();
  };
  process.on("message", receive);
  if (isAsked) process.send?.(takesSockets);
  if (count > 0) await promise;
  process.off("message", receive);
  return sockets;
}
