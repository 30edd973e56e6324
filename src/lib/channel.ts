import { once } from "node:events";
import { chmod, rm } from "node:fs/promises";
import { createConnection, createServer, type Socket } from "node:net";
import { z } from "zod";
import { isSystemError } from "../errors.ts";
import { JsonLines } from "./json-lines.ts";

/** Questions and answers between two of Maestro's processes, as lines of JSON over a unix socket. */
export type Exchanges = Record<string, { ask: z.ZodType; answer: z.ZodType }>;

const version = 1;
const Question = z.object({ id: z.int(), ask: z.string(), input: z.unknown() });
const Answer = z.object({ id: z.int(), output: z.unknown().optional(), error: z.string().optional() });
/** A routing table of thousands of hostnames is well below this. */
const maxLineBytes = 64 * 1024 * 1024;

export type Channel<E extends Exchanges> = {
  /** Rejects with what the other side says went wrong, or when it goes away before it has answered. */
  ask<N extends keyof E & string>(name: N, input: z.input<E[N]["ask"]>): Promise<z.output<E[N]["answer"]>>;
  /** Resolves when the other side is gone, or the channel has been closed. */
  closed: Promise<void>;
  close(): void;
};

export type Handlers<E extends Exchanges> = {
  [N in keyof E]: (
    input: z.output<E[N]["ask"]>,
  ) => z.input<E[N]["answer"]> | Promise<z.input<E[N]["answer"]>>;
};

type Pending = { resolve(value: unknown): void; reject(error: Error): void };

/** Connects to whoever serves a channel at a path. Rejects with the system's error when nobody does. */
export async function connectChannel<E extends Exchanges>(path: string, exchanges: E): Promise<Channel<E>> {
  const socket = createConnection(path);
  await once(socket, "connect");
  const pending = new Map<number, Pending>();
  let lastId = 0;
  readLines(socket, (value) => {
    const { id, output, error } = Answer.parse(value);
    const asked = pending.get(id);
    pending.delete(id);
    if (error === undefined) asked?.resolve(output);
    else asked?.reject(new Error(error));
  });
  // Not `once`, which would reject at an error; this side has to know only that the other is gone.
  const closed = new Promise<void>((resolve) => socket.once("close", () => resolve())).then(() => {
    for (const { reject } of pending.values())
      reject(new Error("the other side went away before it answered"));
    pending.clear();
  });
  return {
    closed,
    close: () => socket.destroy(),
    async ask(name, input) {
      const exchange = exchanges[name];
      if (!exchange || socket.destroyed)
        throw new Error(`the other side is gone and cannot be asked ${name}`);
      lastId += 1;
      const { promise, resolve, reject } = Promise.withResolvers<unknown>();
      pending.set(lastId, { resolve, reject });
      writeLine(socket, { v: version, id: lastId, ask: name, input });
      return exchange.answer.parse(await promise) as z.output<E[typeof name]["answer"]>;
    },
  };
}

/**
 * Answers questions at a path until it is disposed of. A socket file that nobody serves any more is replaced.
 * Only the user of this process may connect.
 */
export async function serveChannel<E extends Exchanges>(
  path: string,
  exchanges: E,
  handlers: Handlers<E>,
): Promise<AsyncDisposable> {
  await removeStale(path);
  const sockets = new Set<Socket>();
  const server = createServer((socket) => {
    sockets.add(socket);
    socket.once("close", () => sockets.delete(socket));
    readLines(socket, (value) => void answer(socket, exchanges, handlers, value));
  });
  server.listen(path);
  await once(server, "listening");
  await chmod(path, 0o600);
  return {
    /** What has been answered still goes out. */
    async [Symbol.asyncDispose]() {
      const closed = once(server, "close");
      server.close();
      for (const socket of sockets) socket.destroySoon();
      await closed;
    },
  };
}

async function answer<E extends Exchanges>(
  socket: Socket,
  exchanges: E,
  handlers: Handlers<E>,
  value: unknown,
): Promise<void> {
  const question = Question.safeParse(value);
  if (!question.success) return void socket.destroy(); // Not one of ours, or of a version that nobody here understands.
  const { id, ask, input } = question.data;
  try {
    const exchange = Object.hasOwn(exchanges, ask) ? exchanges[ask] : undefined;
    const handler = Object.hasOwn(handlers, ask) ? handlers[ask] : undefined;
    if (!exchange || !handler) throw new Error(`this process does not know the question "${ask}"`);
    const output = await handler(exchange.ask.parse(input) as z.output<E[string]["ask"]>);
    writeLine(socket, { v: version, id, output });
  } catch (error) {
    writeLine(socket, { v: version, id, error: (error as Error).message });
  }
}

/** A peer that sends what is not a message is not one of ours: the connection ends. */
function readLines(socket: Socket, onValue: (value: unknown) => void): void {
  const lines = new JsonLines({ maxBytes: maxLineBytes, onValue });
  socket.on("error", () => {}); // "close" follows, and is all there is to know
  socket.on("data", (chunk: Buffer) => {
    try {
      lines.push(chunk);
    } catch {
      socket.destroy();
    }
  });
}

function writeLine(socket: Socket, value: unknown): void {
  if (socket.writable) socket.write(`${JSON.stringify(value)}\n`);
}

async function removeStale(path: string): Promise<void> {
  const probe = createConnection(path);
  try {
    await once(probe, "connect");
  } catch (error) {
    if (!isSystemError(error, "ENOENT", "ECONNREFUSED")) throw error;
    await rm(path, { force: true });
    return;
  } finally {
    probe.destroy();
  }
  throw new Error(`somebody else answers at ${path}`);
}
