import { connect, type OnReadOpts, type Socket } from "node:net";
import { returnReadBuffer, sharedRead, takeReadBuffer } from "./buffers.ts";
import { queued, writeDirectly } from "./direct-write.ts";
import { withStaticRead } from "./static-read.ts";

/** Who is told what comes over a wire. */
export type Reader = {
  /** The first `length` bytes, which are there only until this returns. */
  onBytes(bytes: Buffer, length: number): void;
  /** The other side says nothing more. */
  onEnd(): void;
  /** Nothing more comes, nor goes. */
  onClose(): void;
};

/** Reads of this size are of a body that goes on: worth a buffer that need not be copied out of. */
const long = 32_768;

/** A TCP connection that is read into static buffers where that can be had. */
export class Wire {
  readonly socket: Socket;
  reader: Reader;
  /** Set while a body is read that may be long: the wire then has a buffer of its own. */
  isStreaming = false;
  #own: Buffer | null = null;
  #isPaused = false;
  /** The other wire has not yet sent what was read into the buffer. */
  #isLent = false;

  private constructor(open: (wire: Wire) => Socket, reader: Reader) {
    this.reader = reader;
    this.socket = open(this);
    // An error is followed by the close, which is all that matters; without a listener it would end the process.
    this.socket.on("error", ignore);
    this.socket.on("end", () => this.reader.onEnd());
    this.socket.on("close", () => this.reader.onClose());
  }

  /** One that was accepted, paused. */
  static accepted(socket: Socket, reader: Reader, isStatic: boolean): Wire {
    if (isStatic) return new Wire((wire) => withStaticRead(socket, wire.#onread()), reader);
    const open = (wire: Wire) =>
      socket.on("data", (bytes: Buffer) => wire.reader.onBytes(bytes, bytes.length)).resume();
    return new Wire(open, reader);
  }

  static connecting(address: { host: string; port: number } | { path: string }, reader: Reader): Wire {
    const options = { ...address, noDelay: true, allowHalfOpen: true };
    return new Wire((wire) => connect({ ...options, onread: wire.#onread() }), reader);
  }

  get isOpen(): boolean {
    return !this.socket.destroyed && this.socket.writable;
  }

  /** Bytes that the kernel has not taken yet. */
  get pending(): number {
    return queued(this.socket);
  }

  write(bytes: Buffer): void {
    if (!writeDirectly(this.socket, bytes)) this.socket.write(bytes);
  }

  /** Called back when the kernel has taken all that was written before this, or never will. */
  whenFlushed(done: () => void): void {
    this.socket.write("", done);
  }

  /** Passes on a part of what has just been read. Unless it was the last, `waitFor` the other wire then. */
  passOn(to: Wire, bytes: Buffer, from: number, end: number): void {
    if (from === end) return;
    to.write(bytes === sharedRead ? copyOf(bytes, from, end) : bytes.subarray(from, end));
    this.#isLent = bytes === this.#own && to.pending > 0;
  }

  /** Reads no more until the other wire has sent what it was given. */
  waitFor(to: Wire): void {
    if (to.pending === 0) return;
    this.pause();
    to.whenFlushed(() => {
      this.#isLent = false;
      this.resume();
    });
  }

  pause(): void {
    this.#isPaused = true;
    this.socket.pause();
  }

  resume(): void {
    // What is read into a lent buffer would be written over what is being sent.
    if (!this.#isPaused || this.#isLent || this.socket.destroyed) return;
    this.#isPaused = false;
    this.socket.resume();
  }

  /** What was written still leaves; then, `done` is called. */
  end(done: () => void = ignore): void {
    this.socket.end(done);
  }

  destroy(): void {
    this.socket.destroy();
  }

  #onread(): OnReadOpts {
    return {
      buffer: () => this.#nextBuffer(),
      callback: (length) => {
        // What Node hands over is the buffer that it was given last.
        this.reader.onBytes(this.#own ?? sharedRead, length);
        this.isStreaming &&= length >= long;
        return true;
      },
    };
  }

  /** Asked by Node after each read, for the one after it. */
  #nextBuffer(): Buffer {
    if (this.isStreaming) {
      this.#own ??= takeReadBuffer();
      return this.#own;
    }
    if (this.#own) {
      if (!this.#isLent) returnReadBuffer(this.#own);
      this.#own = null;
      this.#isLent = false;
    }
    return sharedRead;
  }
}

/** The part, as bytes that stay. */
function copyOf(bytes: Buffer, from: number, end: number): Buffer {
  const copy = Buffer.allocUnsafe(end - from);
  bytes.copy(copy, 0, from, end);
  return copy;
}

function ignore(): void {}
