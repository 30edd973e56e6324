import type { Socket } from "node:net";
import { ClientConnection, type ConnectionOptions } from "./connection.ts";
import { HandedConnection } from "./handed.ts";
import { Wire } from "./wire.ts";

export type ByteFrontOptions = Omit<ConnectionOptions, "onRequest" | "onClose" | "onUncommon"> & {
  /** What `canReadStatically` has found. */
  isStatic: boolean;
  onClose(): void;
  /** Takes a client whose request is of another kind; from here on it is the other's. */
  onUncommon(client: HandedConnection): void;
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
        options.onUncommon(new HandedConnection(client.wire, unread));
      },
    };
  }

  get connections(): number {
    return this.#clients.size;
  }

  /** Takes a socket that is paused, and of which nothing has been read. */
  accept(socket: Socket): void {
    const { isStatic } = this.#options;
    const client = new ClientConnection(
      (reader) => Wire.accepted(socket, reader, isStatic),
      this.#connectionOptions,
    );
    this.#clients.add(client);
    if (this.#leaving) client.leave();
  }

  leave(): void {
    this.#leaving = true;
    for (const client of this.#clients) client.leave();
  }
}
