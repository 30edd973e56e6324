import type { Reader, Wire } from "../../http/wire.ts";

/**
 * When one side has ended, how long the other may take to end too, ms without a byte. A WebSocket knows no half-closed
 * state (RFC 6455, 7.1.4): who ends it says nothing more and reads nothing more.
 */
const halfClosedMs = 30_000;

export type Tunnel = {
  isWebSocket: boolean;
  /** How long nothing may move on it, ms. */
  idleMs: number;
};

/** A connection that has become a tunnel: bytes both ways until both sides have ended. */
export function splice(
  client: Wire,
  upstream: Wire,
  { isWebSocket, idleMs }: Tunnel,
  onClose: () => void,
): void {
  // What comes from one side is written to the other: one clock sees both. Node's know no endless time.
  if (Number.isFinite(idleMs)) client.socket.setTimeout(idleMs, () => client.destroy());
  client.reader = new Side(client, upstream, isWebSocket, onClose);
  upstream.reader = new Side(upstream, client, isWebSocket, () => {});
}

class Side implements Reader {
  readonly #from: Wire;
  readonly #to: Wire;
  readonly #endsWhole: boolean;
  readonly #onClose: () => void;

  constructor(from: Wire, to: Wire, endsWhole: boolean, onClose: () => void) {
    this.#from = from;
    this.#to = to;
    this.#endsWhole = endsWhole;
    this.#onClose = onClose;
  }

  onBytes(bytes: Buffer, length: number): void {
    if (!this.#to.isOpen) return;
    this.#from.passOn(this.#to, bytes, 0, length);
    this.#from.isStreaming = true;
    this.#from.waitFor(this.#to);
  }

  onEnd(): void {
    if (this.#endsWhole) {
      this.#to.socket.destroySoon();
      return;
    }
    this.#to.end();
    this.#to.socket.setTimeout(halfClosedMs, () => this.#to.destroy());
  }

  onClose(): void {
    this.#to.socket.destroySoon();
    this.#onClose();
  }
}
