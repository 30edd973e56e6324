import { once } from "node:events";
import type { Server as HttpServer } from "node:http";
import { type AddressInfo, createServer, type ListenOptions } from "node:net";
import type { Duplex } from "node:stream";
import type { Transport } from "../../http/pool.ts";
import { TurnedAway } from "../../http/turned-away.ts";
import type { Open } from "../../http/wire.ts";
import { AppConnection } from "./connection.ts";
import type { Entrance } from "./entrance.ts";
import { createGate } from "./gate.ts";

/** Connections of all apps. */
const mostConnections = 8192;

/** How long what is under way may go on when the endpoint leaves, ms. */
const leaveMs = 3000;

/** Where apps connect to. */
export class Front {
  readonly #entrance: Entrance;
  readonly #transport: Transport;
  readonly #gate: HttpServer;
  readonly #connections = new Set<AppConnection>();
  /** Whose requests come over a stream. */
  readonly #streams = new WeakMap<Duplex, AppConnection>();
  readonly #server = createServer();
  #gone = Promise.withResolvers<void>();

  private constructor(transport: Transport, entrance: Entrance) {
    this.#transport = transport;
    this.#entrance = entrance;
    this.#gate = createGate(entrance, (stream) => this.#streams.get(stream)?.answeredGenerally());
  }

  static async listen(where: ListenOptions, transport: Transport, entrance: Entrance): Promise<Front> {
    const front = new Front(transport, entrance);
    front.#server.listen({ ...where, backlog: 4096 });
    await once(front.#server, "listening");
    transport.wires.accept(front.#server, (open) => front.#accept(open));
    return front;
  }

  get address(): string {
    const { address, port } = this.#server.address() as AddressInfo;
    return `${address}:${port}`;
  }

  #accept(open: Open): void {
    if (this.#connections.size >= mostConnections) {
      new TurnedAway(open, this.#transport.deadlines);
      return;
    }
    const connection = new AppConnection(open, {
      deadlines: this.#transport.deadlines,
      entrance: this.#entrance,
      onGeneral: (stream, from) => {
        this.#streams.set(stream, from);
        this.#gate.emit("connection", stream);
      },
      onClose: (closed) => {
        this.#connections.delete(closed);
        if (this.#connections.size === 0) this.#gone.resolve();
      },
    });
    this.#connections.add(connection);
  }

  /** Takes no more connections; resolves when those that are there have ended, or their time has passed. */
  async leave(): Promise<void> {
    this.#server.close();
    for (const connection of this.#connections) connection.leave();
    if (this.#connections.size === 0) return;
    const late = setTimeout(() => this.#gone.resolve(), leaveMs);
    await this.#gone.promise;
    clearTimeout(late);
  }
}
