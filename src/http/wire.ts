import { returnReadBuffer, sharedRead, takeReadBuffer } from "./buffers.ts";

/** Who is told what comes over a wire. */
export type Reader = {
  /** The first `length` bytes, which are there only until this returns. */
  onBytes(bytes: Buffer, length: number): void;
  /** The other side says nothing more. */
  onEnd(): void;
  /** Nothing more comes, nor goes. */
  onClose(): void;
};

/** A connection of which nothing has been read: from here on `reader` is told. */
export type Open = (reader: Reader) => Wire;

/** Reads of this size are of a body that goes on: worth a buffer that need not be copied out of. */
const long = 32_768;

/** A TCP connection, and what it is read into. */
export abstract class Wire {
  reader: Reader;
  /** Set while a body is read that may be long: the wire then has a buffer of its own. */
  isStreaming = false;
  bytesRead = 0;
  bytesWritten = 0;
  #buffer = sharedRead;
  /** The other wire has not yet sent what was read into the buffer. */
  #isLent = false;
  #isPaused = false;

  constructor(reader: Reader) {
    this.reader = reader;
  }

  abstract readonly remoteAddress: string | undefined;
  abstract readonly localPort: number | undefined;
  /** It can be written to. */
  abstract readonly isOpen: boolean;
  /** Bytes that the kernel has not taken yet; they have to stay as they are until it has. */
  abstract readonly pending: number;
  abstract write(bytes: Buffer): void;
  /** Called back when the kernel has taken all that was written before this, or never will. */
  abstract whenFlushed(done: () => void): void;
  /** What was written still leaves; then, `done` is called. */
  abstract end(done?: () => void): void;
  abstract destroy(): void;
  /** So that the other side sees that something is missing. */
  abstract reset(): void;
  protected abstract startReading(): void;
  protected abstract stopReading(): void;

  /** What was written still leaves. */
  destroySoon(): void {
    if (this.pending === 0) this.destroy();
    else this.whenFlushed(() => this.destroy());
  }

  /** Passes on a part of what has just been read. Unless it was the last, `waitFor` the other wire then. */
  passOn(to: Wire, bytes: Buffer, from: number, end: number): void {
    if (from === end) return;
    to.write(bytes === sharedRead ? copyOf(bytes, from, end) : bytes.subarray(from, end));
    this.#isLent = bytes !== sharedRead && bytes === this.#buffer && to.pending > 0;
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
    this.stopReading();
  }

  resume(): void {
    // What is read into a lent buffer would be written over what is being sent.
    if (!this.#isPaused || this.#isLent) return;
    this.#isPaused = false;
    this.startReading();
  }

  /** Tells of what has been read into the buffer. Returns the one for the next read. */
  protected take(length: number): Buffer {
    this.bytesRead += length;
    this.reader.onBytes(this.#buffer, length);
    this.isStreaming &&= length >= long;
    return this.#nextBuffer();
  }

  #nextBuffer(): Buffer {
    if (this.isStreaming) {
      if (this.#buffer === sharedRead) this.#buffer = takeReadBuffer();
    } else {
      this.giveUpBuffer();
    }
    return this.#buffer;
  }

  /** That of its own, if it has one. */
  protected giveUpBuffer(): void {
    if (this.#buffer === sharedRead) return;
    returnReadBuffer(this.#buffer, this.#isLent);
    this.#buffer = sharedRead;
    this.#isLent = false;
  }
}

/** The part, as bytes that stay. */
function copyOf(bytes: Buffer, from: number, end: number): Buffer {
  const copy = Buffer.allocUnsafe(end - from);
  bytes.copy(copy, 0, from, end);
  return copy;
}
