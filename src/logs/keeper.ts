/**
 * The log keeper, a process of its own: notes when the lines of all logs came and keeps the logs bounded, whether
 * there is a controller or not. It may be killed at any moment: the next one completes what it finds half-done.
 */
import { closeSync, watch } from "node:fs";
import { join } from "node:path";
import { aborted } from "../lib/aborted.ts";
import { serveChannel } from "../lib/channel.ts";
import { namesIn } from "../lib/directory.ts";
import { keptExchanges, keptReadyDescriptor } from "../lib/kept-exchanges.ts";
import { lockHolder, takeLock } from "../lib/lock-file.ts";
import { createLog, type Log } from "../lib/log.ts";
import { KeeperSettings } from "../protocol/log-keeper.ts";
import { KeptDirectory } from "./kept-directory.ts";

/** A watch can be lost: for apps that came or went unseen it is looked this often, in ms. */
const lookMs = 30_000;

process.title = "maestro: log keeper";
await start(KeeperSettings.parse(JSON.parse(process.argv.at(-1) ?? "null")));
if (process.argv.includes("--tell")) closeSync(keptReadyDescriptor);

async function start(settings: KeeperSettings): Promise<void> {
  const lock = await takeLock(settings.lock);
  const directories = new Map<string, KeptDirectory>();
  const stop = await keepApps(settings, directories, createLog());
  setInterval(() => void endUnlessHolder(settings.lock), lookMs).unref();
  const leaving = new AbortController();
  const leave = () => leaving.abort();
  const channel = await serveChannel(settings.control, keptExchanges, {
    status: () => ({
      v: 1 as const,
      pid: process.pid,
      apps: directories.size,
      logs: [...directories.values()].reduce((sum, { count }) => sum + count, 0),
    }),
    leave: () => {
      leave();
      return {};
    },
  });
  process.on("SIGTERM", leave);
  void aborted(leaving.signal).then(async () => {
    await stop();
    // Whoever waits for the end of the channel may start another one then.
    await lock[Symbol.asyncDispose]();
    await channel[Symbol.asyncDispose]();
    process.exit(0);
  });
}

/** Its home was removed, or is another's by now: then there is nothing left to keep. */
async function endUnlessHolder(lock: string): Promise<void> {
  if ((await lockHolder(lock))?.pid !== process.pid) process.exit(1);
}

/** Keeps the logs of all apps, those that come later too; resolves with what ends it. */
async function keepApps(
  { apps, partBytes, parts }: KeeperSettings,
  directories: Map<string, KeptDirectory>,
  log: Log,
): Promise<() => Promise<void>> {
  const look = async (): Promise<void> => {
    const names = new Set(await namesIn(apps));
    for (const [name, directory] of directories) {
      if (names.has(name)) continue;
      directories.delete(name);
      await directory.end();
    }
    for (const name of names) {
      if (directories.has(name)) continue;
      directories.set(name, new KeptDirectory(join(apps, name, "logs"), { partBytes, parts }, log));
    }
  };
  const watcher = watch(apps, () => void look());
  const timer = setInterval(() => void look(), lookMs);
  await look();
  return async () => {
    watcher.close();
    clearInterval(timer);
    await Promise.all([...directories.values()].map((directory) => directory.end()));
  };
}
