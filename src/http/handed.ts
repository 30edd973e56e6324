import { Duplex } from "node:stream";
import { type Deadlines, never } from "./deadlines.ts";
import { Idle } from "./idle.ts";
import type { Reader, Wire } from "./wire.ts";

/** Who the client is, and which port it has connected to. */
type Peer = { address: string; port: number | undefined };

/**
 * A client's connection as the stream that the general path wants, beginning with the bytes that have been read from
 * it already. Its wire cannot become a socket of Node's own: Node never takes a static buffer back.
 */
export class HandedConnection extends Duplex implements Reader {
  readonly remoteAddress: string;
  readonly localPort: number | undefined;
  readonly #wire: Wire;
  readonly #idle: Idle;

  /** What comes over the wire later is told by whoever reads it: the connection itself can be its reader. */
  constructor(wire: Wire, unread: Buffer, { address, port }: Peer, deadlines: Deadlines) {
    super({ allowHalfOpen: true });
    this.#wire = wire;
    this.remoteAddress = address;
    this.localPort = port;
    this.#idle = new Idle([wire], deadlines, () => this.emit("timeout"));
    this.push(Buffer.from(unread));
  }

  setTimeout(ms: number, onTimeout?: () => void): this {
    if (onTimeout) this.once("timeout", onTimeout);
    this.#idle.limit(ms || never); // Node's 0 is none.
    return this;
  }

  setNoDelay(): this {
    return this; // It always is.
  }

  destroySoon(): void {
    if (this.writable) this.end();
    if (this.writableFinished) this.destroy();
    else this.once("finish", () => this.destroy());
  }

  onBytes(bytes: Buffer, length: number): void {
    this.#idle.moved();
    if (!this.push(Buffer.from(bytes.subarray(0, length)))) this.#wire.pause();
  }

  onEnd(): void {
    this.push(null);
  }

  onClose(): void {
    this.#idle.end();
    this.destroy();
  }

  override _read(): void {
    this.#wire.resume();
  }

  override _write(bytes: Buffer, _encoding: BufferEncoding, done: (error?: Error | null) => void): void {
    this.#wire.write(bytes);
    this.#idle.moved();
    this.#wire.whenFlushed(done);
  }

  override _final(done: () => void): void {
    this.#wire.end(done);
  }

  override _destroy(error: Error | null, done: (error?: Error | null) => void): void {
    this.#wire.destroy();
    done(error);
  }
}
