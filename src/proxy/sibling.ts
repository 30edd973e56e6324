import { type ChildProcess, fork } from "node:child_process";
import type { Server } from "node:net";
import { WorkerReady } from "../protocol/worker.ts";
import type { SocketMessage } from "./listening.ts";

/**
 * Starts another worker from the program at `entry`, on these listening sockets; resolves with its pid when it is
 * ready. It is nobody's child for long: it writes where this one does, and lives on when this one ends. The command
 * line `--sockets COUNT SETTINGS` is spoken between versions.
 */
export async function startSibling(
  entry: string,
  settings: unknown,
  sockets: readonly Server[],
): Promise<number> {
  const child = fork(entry, ["--sockets", String(sockets.length), JSON.stringify(settings)], {
    detached: true,
    stdio: ["ignore", "inherit", "inherit", "ipc"],
  });
  try {
    const answer = untilReady(child);
    for (const [index, socket] of sockets.entries()) {
      const message: SocketMessage = { type: "socket", index };
      child.send(message, socket);
    }
    return await answer;
  } finally {
    if (child.connected) child.disconnect();
    child.unref();
  }
}

async function untilReady(child: ChildProcess): Promise<number> {
  const { promise, resolve, reject } = Promise.withResolvers<WorkerReady>();
  child.once("message", (message) => resolve(WorkerReady.parse(message)));
  child.once("error", reject);
  child.once("exit", (code, signal) =>
    reject(new Error(`the sibling ended at its start (${signal ?? code})`)),
  );
  const answer = await promise;
  if (answer.type === "failed") throw new Error(`the sibling could not start: ${answer.message}`);
  return answer.pid;
}
