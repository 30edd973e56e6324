import { HandedConnection } from "../../http/handed.ts";
import type { Open } from "../../http/wire.ts";
import { ClientConnection, type ConnectionOptions } from "./connection.ts";
import { Introducer } from "./introducer.ts";
import type { Introduced } from "./introduction.ts";

export type ByteFrontOptions = Omit<ConnectionOptions, "onRequest" | "onClose" | "onUncommon"> & {
  onClose(): void;
  /** Takes a client whose request is of another kind; from here on it is the other's. */
  onUncommon(client: HandedConnection): void;
};

/** Of the socket that a client was accepted on. */
export type Listener = {
  /** Its clients come through a balancer that says so in the PROXY protocol. */
  isIntroduced?: boolean;
};

/** The byte path's clients. */
export class ByteFront {
  readonly #options: ByteFrontOptions;
  readonly #connectionOptions: ConnectionOptions;
  readonly #clients = new Set<ClientConnection>();
  #leaving = false;
  requests = 0;

  constructor(options: ByteFrontOptions) {
    this.#options = options;
    this.#connectionOptions = {
      ...options,
      onRequest: () => {
        this.requests += 1;
      },
      onClose: (client) => {
        this.#clients.delete(client);
        options.onClose();
      },
      onUncommon: (client, unread) => {
        this.#clients.delete(client);
        const handed = new HandedConnection(client.wire, unread, client.origin, options.deadlines);
        client.wire.reader = handed;
        options.onUncommon(handed);
      },
    };
  }

  get connections(): number {
    return this.#clients.size;
  }

  accept(open: Open, { isIntroduced = false }: Listener = {}): void {
    if (isIntroduced) this.#acceptIntroduced(open);
    else this.#begin(open, null);
  }

  #acceptIntroduced(open: Open): void {
    const introducer: Introducer = new Introducer(open, this.#options.deadlines, (introduced, rest) => {
      const { wire } = introducer;
      const client = this.#begin((reader) => {
        wire.reader = reader;
        return wire;
      }, introduced);
      if (rest.length > 0) client.onBytes(rest, rest.length);
    });
  }

  #begin(open: Open, introduced: Introduced): ClientConnection {
    const client = new ClientConnection(open, this.#connectionOptions, introduced);
    this.#clients.add(client);
    if (this.#leaving) client.leave();
    return client;
  }

  leave(): void {
    this.#leaving = true;
    for (const client of this.#clients) client.leave();
  }
}
