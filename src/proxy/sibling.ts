import { type ChildProcess, fork } from "node:child_process";
import { type AppRoute, asksToBeTold, siblingMs, takesSockets, WorkerReady } from "../protocol/worker.ts";
import type { ListeningSocket, SiblingMessage } from "./listening.ts";

/** What a sibling begins with: it serves at once, whether a controller comes for it or not. */
export type Handed = {
  sockets: readonly ListeningSocket[];
  /** Null while its elder has none itself. */
  routes: AppRoute[] | null;
};

/** The siblings that this worker was asked for. */
export class Siblings {
  readonly #starting = new Set<Promise<number>>();

  /** Resolves with its pid when it is ready. */
  async start(entry: string, settings: unknown, handed: Handed): Promise<number> {
    const sibling = startSibling(entry, settings, handed);
    this.#starting.add(sibling);
    return sibling.finally(() => this.#starting.delete(sibling));
  }

  /** Resolves when none is starting any more. */
  async settled(): Promise<void> {
    await Promise.allSettled(this.#starting);
  }
}

/**
 * Starts another worker from the program at `entry`, on these listening sockets; resolves with its pid when it is
 * ready. It is nobody's child for long: it writes where this one does, and lives on when this one ends. The command
 * line `--sockets COUNT … SETTINGS` is spoken between versions.
 */
async function startSibling(entry: string, settings: unknown, { sockets, routes }: Handed): Promise<number> {
  const words = ["--sockets", String(sockets.length), asksToBeTold, JSON.stringify(settings)];
  const child = fork(entry, words, {
    detached: true,
    stdio: ["ignore", "inherit", "inherit", "ipc"],
  });
  // One that hangs must not accept what nobody will ever answer.
  const late = setTimeout(() => child.kill("SIGKILL"), siblingMs);
  try {
    const answer = untilReady(child);
    await Promise.race([untilItTakesSockets(child), answer]);
    const send = (message: SiblingMessage, socket?: ListeningSocket) => child.send(message, socket?.server);
    if (routes) send({ type: "routes", routes });
    for (const [index, socket] of sockets.entries()) {
      send({ type: "socket", index, isIntroduced: socket.isIntroduced }, socket);
    }
    return await answer;
  } finally {
    clearTimeout(late);
    if (child.connected) child.disconnect();
    child.unref();
  }
}

/** How long one of an earlier version, which does not say so, is waited for, ms. */
const silentMs = 3000;

async function untilItTakesSockets(child: ChildProcess): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>();
  const onMessage = (message: unknown) => message === takesSockets && resolve();
  const timer = setTimeout(resolve, silentMs);
  child.on("message", onMessage);
  await promise;
  clearTimeout(timer);
  child.off("message", onMessage);
}

async function untilReady(child: ChildProcess): Promise<number> {
  const { promise, resolve, reject } = Promise.withResolvers<WorkerReady>();
  child.on("message", (message) => message === takesSockets || resolve(WorkerReady.parse(message)));
  child.once("error", reject);
  child.once("exit", (code, signal) =>
    reject(new Error(`the sibling ended at its start (${signal ?? code})`)),
  );
  const answer = await promise;
  if (answer.type === "failed") throw new Error(`the sibling could not start: ${answer.message}`);
  return answer.pid;
}
