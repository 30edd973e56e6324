import { readdir, rm } from "node:fs/promises";
import { join } from "node:path";
import type { Log } from "../lib/log.ts";
import type { AppRoute } from "../protocol/worker.ts";
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
      // Nobody answers: it has ended, or is stuck and of no use.
      log.info({ path, error: (error as Error).message }, "worker.gone");
      await rm(path, { force: true });
    }
  }
}

async function unseen(directory: string, seen: ReadonlySet<string>): Promise<string | undefined> {
  return (await readdir(directory)).find((name) => name.endsWith(".sock") && !seen.has(name));
}
