import type { Deadlines } from "../../http/deadlines.ts";
import { Idle } from "../../http/idle.ts";
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
  deadlines: Deadlines,
  onClose: () => void,
): void {
  const idle = new Idle([client, upstream], deadlines, () => {
    client.destroy();
    upstream.destroy();
  });
  idle.limit(idleMs);
  let open = 2;
  const onSideClose = () => {
    open -= 1;
    if (open === 0) idle.end(); // Until then something may still have to leave.
  };
  const onEnd = () => idle.limit(Math.min(idleMs, halfClosedMs));
  const options = { idle, isWebSocket, onEnd };
  upstream.reader = new Side(upstream, client, { ...options, onClose: onSideClose });
  client.reader = new Side(client, upstream, {
    ...options,
    onClose() {
      onSideClose();
      onClose();
    },
  });
}

type SideOptions = { idle: Idle; isWebSocket: boolean; onEnd(): void; onClose(): void };

class Side implements Reader {
  readonly #from: Wire;
  readonly #to: Wire;
  readonly #options: SideOptions;

  constructor(from: Wire, to: Wire, options: SideOptions) {
    this.#from = from;
    this.#to = to;
    this.#options = options;
  }

  onBytes(bytes: Buffer, length: number): void {
    if (!this.#to.isOpen) return;
    this.#from.passOn(this.#to, bytes, 0, length);
    this.#from.isStreaming = true;
    this.#from.waitFor(this.#to);
    this.#options.idle.moved();
  }

  onEnd(): void {
    if (this.#options.isWebSocket) {
      this.#to.destroySoon();
      return;
    }
    this.#to.end();
    this.#options.onEnd();
  }

  onClose(): void {
    this.#to.destroySoon();
    this.#options.onClose();
  }
}
