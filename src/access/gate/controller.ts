import { once } from "node:events";
import { connect, type Socket } from "node:net";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";

/** Where the controller listens for this program; the two are installed beside each other. */
const door = join(import.meta.dirname, "..", "door", "maestro.sock");

const reachMs = 2000;

/** What the controller says of a send or a push that it allows: where it goes. See src/protocol/gate.ts. */
export type Permission = { incoming: string; repository: string; notice(end: End): void };

/** How a send or a push ended. */
export type End = { exitCode: number | null; signal: string | null };

/** The controller, as one key sees it: everything that the key is used for is stated to it first. */
export class Controller {
  readonly #facts: { key: string; connection: string };

  /** `connection`: SSH_CONNECTION of ssh(1). All that comes by one connection is one deploy. */
  constructor(facts: { key: string; connection: string }) {
    this.#facts = facts;
  }

  /** A connection on which operations are called; why it may not be one is said on it. */
  async openSession(): Promise<Socket> {
    return this.#state({ purpose: "operations" });
  }

  /** Asks for the permission to send or push to an app, which lasts until `notice`. `onEnd` is called when it is taken away. */
  async permit(purpose: "send" | "push", app: string, onEnd: (reason: string) => void): Promise<Permission> {
    const socket = await this.#state({ purpose, app });
    const lines = new Lines(socket);
    const answer = await lines.next();
    if (answer === null) throw new Error("Maestro ended the session; try again in a moment");
    if (typeof answer["error"] === "string") throw new Error(answer["error"]);
    void lines.next().then((line) => {
      if (typeof line?.["end"] === "string") onEnd(line["end"]);
    });
    const text = (name: string) => String(answer[name] ?? "");
    return {
      incoming: text("incoming"),
      repository: text("repository"),
      notice: (end) => void socket.end(`${JSON.stringify(end)}\n`),
    };
  }

  /** Has a refusal written down, and says it. Answers the exit code. */
  async refuse(command: string, why: string): Promise<number> {
    const socket = await this.#state({ purpose: "refused", command: command.slice(0, 1000), why });
    const answer = await new Lines(socket).next();
    socket.end();
    process.stderr.write(`maestro: ${String(answer?.["error"] ?? why)}\n`);
    return 1;
  }

  async #state(statement: object): Promise<Socket> {
    const socket = await reach();
    socket.on("error", () => {}); // "close" follows.
    socket.write(`${JSON.stringify({ v: 1, ...this.#facts, ...statement })}\n`);
    return socket;
  }
}

/** While one version of Maestro becomes the next there is nobody for a moment. */
async function reach(): Promise<Socket> {
  const deadline = performance.now() + reachMs;
  for (;;) {
    const socket = connect(door);
    try {
      await once(socket, "connect");
      return socket;
    } catch {
      if (performance.now() > deadline) {
        throw new Error("Maestro does not run on this server at the moment; ask whoever runs it");
      }
      await pause(50);
    }
  }
}

/** The lines of JSON that the controller says. */
class Lines {
  readonly #socket: Socket;
  #text = "";

  constructor(socket: Socket) {
    this.#socket = socket.setEncoding("utf8");
  }

  /** Null when there comes no more. */
  async next(): Promise<Record<string, unknown> | null> {
    for (;;) {
      const end = this.#text.indexOf("\n");
      if (end !== -1) {
        const line: unknown = JSON.parse(this.#text.slice(0, end));
        this.#text = this.#text.slice(end + 1);
        return typeof line === "object" && line !== null ? { ...line } : {};
      }
      const chunk = await this.#chunk();
      if (chunk === null) return null;
      this.#text += chunk;
    }
  }

  async #chunk(): Promise<string | null> {
    const { promise, resolve } = Promise.withResolvers<string | null>();
    const onData = (chunk: string) => resolve(chunk);
    const onClose = () => resolve(null);
    if (this.#socket.destroyed) return null;
    this.#socket.once("data", onData).once("close", onClose);
    try {
      return await promise;
    } finally {
      this.#socket.off("data", onData).off("close", onClose);
    }
  }
}
