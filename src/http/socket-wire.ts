import type { Socket } from "node:net";
import { type Reader, Wire } from "./wire.ts";

/** A wire as everybody has it: for a Node in which handles are not what they were. */
export class SocketWire extends Wire {
  readonly #socket: Socket;

  constructor(socket: Socket, reader: Reader) {
    super(reader);
    this.#socket = socket;
    socket
      .on("data", (bytes: Buffer) => {
        this.bytesRead += bytes.length;
        this.reader.onBytes(bytes, bytes.length);
      })
      .on("end", () => this.reader.onEnd())
      // An error is followed by the close, which is all that matters; without a listener it would end the process.
      .on("error", ignore)
      .on("close", () => this.reader.onClose())
      .resume();
  }

  get remoteAddress(): string | undefined {
    return this.#socket.remoteAddress;
  }

  get localPort(): number | undefined {
    return this.#socket.localPort;
  }

  get isOpen(): boolean {
    return !this.#socket.destroyed && this.#socket.writable;
  }

  get pending(): number {
    return this.#socket.writableLength;
  }

  write(bytes: Buffer): void {
    this.bytesWritten += bytes.length;
    this.#socket.write(bytes);
  }

  whenFlushed(done: () => void): void {
    this.#socket.write("", done);
  }

  end(done: () => void = ignore): void {
    this.#socket.end(done);
  }

  destroy(): void {
    this.#socket.destroy();
  }

  reset(): void {
    this.#socket.resetAndDestroy();
  }

  protected startReading(): void {
    this.#socket.resume();
  }

  protected stopReading(): void {
    this.#socket.pause();
  }
}

function ignore(): void {}
