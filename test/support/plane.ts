import { once } from "node:events";
import { type AddressInfo, connect, createServer, type Server, type Socket } from "node:net";
import { setImmediate as turn } from "node:timers/promises";
import { findWires, socketWires } from "../../src/http/wires.ts";
import { createLog } from "../../src/lib/log.ts";
import type { AppRoute, WorkerSettings } from "../../src/protocol/worker.ts";
import { Plane } from "../../src/proxy/plane.ts";
import { routeOf } from "./proxy.ts";

const ownWires = await findWires();

/** A worker's parts in the test's own process, on a real socket: for tests of thousands of connections. */
export class TestPlane implements AsyncDisposable {
  readonly plane: Plane;
  readonly #server: Server;

  private constructor(plane: Plane, server: Server) {
    this.plane = plane;
    this.#server = server;
  }

  /** `wires`: those that a worker has here, or what there is in any Node. */
  static async start(
    changes: Partial<WorkerSettings> = {},
    wires: "own" | "plain" = "own",
  ): Promise<TestPlane> {
    const settings: WorkerSettings = {
      control: "",
      listen: [],
      holdMs: 10_000,
      answerMs: 20_000,
      trustedProxies: [],
      accessLog: false,
      ...changes,
    };
    const used = wires === "own" ? ownWires : socketWires;
    const plane = new Plane(settings, createLog(), used);
    const server = createServer();
    await once(server.listen(0, "127.0.0.1"), "listening");
    used.accept(server, (open) => plane.accept(open));
    return new TestPlane(plane, server);
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  route(app: string, port: number, changes: Partial<AppRoute> = {}): void {
    this.plane.apply({ replace: false, put: [routeOf(app, [{ instance: app, port }], changes)], remove: [] });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const { requestsMs, streamsMs } = { requestsMs: 0, streamsMs: 0 };
    this.plane.apply({ replace: true, put: [], remove: [] });
    await this.plane.leave({ requestsMs, streamsMs });
    this.#server.close();
  }
}

/** An app that writes every byte of its answers itself. It counts its connections, and keeps what came on each. */
export class RawApp implements AsyncDisposable {
  readonly received: string[] = [];
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();

  private constructor(onData: (socket: Socket, text: string, connection: number) => void) {
    // Each write is a packet of its own.
    this.#server = createServer({ noDelay: true }, (socket) => {
      const connection = this.received.push("") - 1;
      this.#sockets.add(socket);
      socket.once("close", () => this.#sockets.delete(socket));
      socket.on("error", () => {});
      socket.on("data", (chunk: Buffer) => {
        const text = chunk.toString("latin1");
        this.received[connection] += text;
        onData(socket, text, connection);
      });
    });
  }

  static async start(onData: (socket: Socket, text: string, connection: number) => void): Promise<RawApp> {
    const app = new RawApp(onData);
    await once(app.#server.listen(0, "127.0.0.1"), "listening");
    return app;
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const socket of this.#sockets) socket.destroy();
    await once(this.#server.close(), "close");
  }
}

/** How bytes may be cut into packets. */
export type Delivery = (text: string) => Iterable<string[]>;

export const deliveries: Record<string, Delivery> = {
  "in one packet": (text) => [[text]],
  "byte by byte": (text) => [[...text]],
  *"split at every position"(text) {
    for (let at = 1; at < text.length; at += 1) yield [text.slice(0, at), text.slice(at)];
  },
};

/** Writes each part as a packet of its own: what was written before has been read when the next is. */
export async function deliver(socket: Socket, parts: readonly string[]): Promise<void> {
  for (const part of parts) {
    if (socket.destroyed || !socket.writable) return;
    socket.write(Buffer.from(part, "latin1"));
    await turn();
    await turn();
  }
}

/** Everything that comes on a connection of its own until the other side ends it. */
export async function converse(port: number, parts: readonly string[]): Promise<string> {
  const socket = connect({ port, host: "127.0.0.1", noDelay: true });
  let received = "";
  socket.on("data", (chunk: Buffer) => {
    received += chunk.toString("latin1");
  });
  socket.on("error", () => {});
  const closed = once(socket, "close");
  await once(socket, "connect");
  await deliver(socket, parts);
  await closed;
  return received;
}
