import { readdir, readFile, rm } from "node:fs/promises";
import { join } from "node:path";
import type { Log } from "../lib/log.ts";
import { isAlive, parseIdentity } from "../lib/processes.ts";
import { type AppRoute, processFileOf } from "../protocol/worker.ts";
import { Worker } from "./worker.ts";

/** The workers of earlier controllers, each with the routes that it has, by their sockets in a directory. */
export async function* findWorkers(
  directory: string,
  log: Log,
): AsyncGenerator<{ worker: Worker; routes: readonly AppRoute[] }> {
  const seen = new Set<string>();
  for (let next = await unseen(directory, seen); next !== undefined; next = await unseen(directory, seen)) {
    seen.add(next);
    const path = join(directory, next);
    try {
      const worker = await Worker.connect(path, { isAdopted: true, log });
      // Also waits for a sibling that the earlier controller had asked for: the next look finds it.
      const { routes } = await worker.ask("table", {});
      yield { worker, routes };
    } catch (error) {
      // Nobody answers: it has ended, or is stuck. One that is stuck still has the sockets, and routes that grow old.
      log.info({ path, error: (error as Error).message }, "worker.gone");
      await endStuck(processFileOf(path), log);
      await forgetWorker(path);
    }
  }
}

/** Removes what a worker that has ended has left. */
export async function forgetWorker(path: string): Promise<void> {
  await rm(path, { force: true });
  await rm(processFileOf(path), { force: true });
}

async function endStuck(processFile: string, log: Log): Promise<void> {
  const text = await readFile(processFile, "utf8").catch(() => "");
  const identity = parseIdentity(text);
  if (identity === null || !isAlive(identity)) return;
  log.error({ pid: identity.pid }, "worker.stuck");
  process.kill(identity.pid, "SIGKILL");
}

async function unseen(directory: string, seen: ReadonlySet<string>): Promise<string | undefined> {
  return (await readdir(directory)).find((name) => name.endsWith(".sock") && !seen.has(name));
}
