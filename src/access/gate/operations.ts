import type { Socket } from "node:net";

/** What a server answered instead of an output. */
export class OperationFailed extends Error {
  readonly details: Record<string, unknown>;

  constructor(message: string, details: Record<string, unknown>) {
    super(message);
    this.details = details;
  }
}

type Fields = Record<string, unknown>;
type Waiting = { resolve(output: Fields): void; reject(error: Error): void; onProgress(step: Fields): void };

/**
 * Calls operations over DNode, one at a time: as much of it as a program needs that loads no packages. In each call
 * function 0 is told the progress, and function 1 the answer.
 */
export class Operations {
  readonly #socket: Socket;
  #waiting: Waiting | null = null;
  #text = "";
  #reason = "Maestro ended the session; it may have gone on: `maestro releases` tells";

  constructor(socket: Socket) {
    this.#socket = socket.setEncoding("utf8");
    socket.on("data", (chunk: string) => this.#receive(chunk));
    socket.once("close", () => this.#waiting?.reject(new Error(this.#reason)));
  }

  async call(name: string, input: Fields, onProgress: (step: Fields) => void = () => {}): Promise<Fields> {
    const { promise, resolve, reject } = Promise.withResolvers<Fields>();
    this.#waiting = { resolve, reject, onProgress };
    if (this.#socket.destroyed) reject(new Error(this.#reason));
    const message = {
      method: name,
      arguments: [{ ...input, onProgress: "[Function]" }, "[Function]"],
      callbacks: { 0: ["0", "onProgress"], 1: ["1"] },
      links: [],
    };
    this.#socket.write(`${JSON.stringify(message)}\n`);
    return promise;
  }

  close(): void {
    this.#waiting = null;
    this.#socket.end();
  }

  #receive(chunk: string): void {
    const lines = `${this.#text}${chunk}`.split("\n");
    this.#text = lines.pop() ?? "";
    for (const line of lines) this.#take(fieldsOf(JSON.parse(line)));
  }

  #take({ method, arguments: values }: Fields): void {
    const [first, second]: unknown[] = Array.isArray(values) ? values : [];
    if (method === 0) this.#waiting?.onProgress(fieldsOf(first));
    if (method === "error") this.#reason = String(fieldsOf(first)["message"]);
    if (method !== 1) return;
    if (first === null || first === undefined) this.#waiting?.resolve(fieldsOf(second));
    else this.#waiting?.reject(failureOf(fieldsOf(first)));
  }
}

const failureOf = ({ message, details }: Fields) => new OperationFailed(String(message), fieldsOf(details));

const fieldsOf = (value: unknown): Fields =>
  typeof value === "object" && value !== null ? { ...value } : {};
