import dnode from "dnode";
import type { DnodeMessage } from "./dnode-message.ts";

export type DnodeFunction = (...args: unknown[]) => void;
export type DnodeMethods = Readonly<Record<string, DnodeFunction>>;

export type DnodeListeners = {
  /** A message to be sent to the other side. */
  onSend(message: unknown): void;
  /** The other side has told its methods. */
  onRemote?(methods: DnodeMethods): void;
  /** A local function threw, or the other side called one that does not exist. */
  onFault(error: unknown): void;
};

/**
 * One end of a DNode session (dnode 1.2.2, wire-compatible with 0.9), free of sockets: messages in by `handle`, out
 * by `onSend`. Offers `methods` from the next tick on.
 *
 * Keeps no function of the other side: the package frees those only with the native module `weak`, so that every call
 * of a session would stay in memory. A call holds the functions that came with it, and they go with the call. The
 * other side is not told by `cull`: a caller may use one function for several calls, and would lose the answer to the
 * next one if it crossed a `cull` on the wire (and 0.9 gives `cull` the opposite meaning).
 *
 * Its package `traverse` is held at 0.6.6 by package.json: the later ones bring ninety packages that stand in for what
 * every Node has, and loading those took longer than all the rest of a command's start.
 */
export class DnodePeer {
  readonly #dnode;

  constructor(methods: DnodeMethods, { onSend, onRemote, onFault }: DnodeListeners) {
    this.#dnode = dnode(methods, { weak: false, emit: "object" })
      .on("data", onSend)
      .on("fail", onFault)
      .on("error", onFault);
    if (onRemote !== undefined) this.#dnode.on("remote", onRemote);
  }

  /** The message must have been parsed by `parseMessage`; the package itself believes whatever it is given. */
  handle(message: DnodeMessage): void {
    this.#dnode.handle(message);
    const known = this.#dnode.proto?.callbacks.remote;
    if (known === undefined) return;
    for (const id of Object.keys(message.callbacks)) delete known[id];
  }

  /** Forgets a function that was given to the other side; a later call of it is a fault. */
  forget(local: DnodeFunction): void {
    const functions = this.#dnode.proto?.callbacks.local ?? [];
    const id = functions.indexOf(local);
    if (id !== -1) delete functions[id];
  }

  end(): void {
    this.#dnode.end();
  }
}
