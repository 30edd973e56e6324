import { sharedRead } from "./buffers.ts";
import { close, endOfFile, type Handle, read, reset, shutDown, type Told, write } from "./handle.ts";
import { type Reader, Wire } from "./wire.ts";

/** A wire without a socket of Node's around it, read into static buffers. */
export class HandleWire extends Wire implements Told {
  readonly #handle: Handle;
  #isClosed = false;
  #hasEnded = false;
  #writing: "open" | "ending" | "ended" = "open";
  /** Writes of which the kernel has not taken all. */
  #waiting = 0;
  #onFlushed: (() => void)[] = nobody;
  #onEnded = ignore;

  constructor(handle: Handle, reader: Reader) {
    super(reader);
    this.#handle = handle;
    read(handle, sharedRead, this);
  }

  get remoteAddress(): string | undefined {
    const into: { address?: string } = {};
    this.#handle.getpeername(into);
    return into.address;
  }

  get localPort(): number | undefined {
    const into: { port?: number } = {};
    this.#handle.getsockname(into);
    return into.port;
  }

  get isOpen(): boolean {
    return !this.#isClosed && this.#writing === "open";
  }

  get pending(): number {
    return this.#waiting === 0 || this.#isClosed ? 0 : this.#handle.writeQueueSize;
  }

  write(bytes: Buffer): void {
    if (!this.isOpen) return;
    this.bytesWritten += bytes.length;
    const outcome = write(this.#handle, bytes);
    if (outcome === "waiting") this.#waiting += 1;
    else if (outcome === "failed") this.destroy();
  }

  whenFlushed(done: () => void): void {
    if (this.#waiting === 0) done();
    else if (this.#onFlushed === nobody) this.#onFlushed = [done];
    else this.#onFlushed.push(done);
  }

  end(done: () => void = ignore): void {
    if (!this.isOpen) return;
    this.#writing = "ending";
    this.#onEnded = done;
    if (!shutDown(this.#handle)) this.destroy();
  }

  destroy(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    close(this.#handle);
  }

  reset(): void {
    if (!this.#isClosed && reset(this.#handle)) this.#isClosed = true;
    this.destroy();
  }

  onRead(length: number): Buffer | undefined {
    if (this.#isClosed) return undefined;
    if (length > 0) return this.take(length);
    if (length === endOfFile) this.#end();
    else if (length < 0) this.destroy();
    return undefined;
  }

  onWritten(isTaken: boolean): void {
    this.#waiting -= 1;
    if (!isTaken) this.destroy();
    if (this.#waiting === 0) this.#flushed();
  }

  onShutDown(): void {
    if (this.#isClosed) return;
    this.#writing = "ended";
    this.#onEnded();
    if (this.#hasEnded) this.destroy();
  }

  onClosed(): void {
    this.giveUpBuffer();
    this.#flushed();
    this.reader.onClose();
  }

  protected startReading(): void {
    if (!this.#isClosed && !this.#hasEnded) this.#handle.readStart();
  }

  protected stopReading(): void {
    if (!this.#isClosed) this.#handle.readStop();
  }

  #end(): void {
    this.#hasEnded = true;
    this.reader.onEnd();
    if (this.#writing === "ended") this.destroy();
  }

  #flushed(): void {
    const told = this.#onFlushed;
    this.#onFlushed = nobody;
    for (const done of told) done();
  }
}

const nobody: (() => void)[] = [];

function ignore(): void {}
