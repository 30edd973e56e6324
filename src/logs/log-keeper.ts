import { join } from "node:path";
import { KeptProcess } from "../lib/kept-process.ts";
import type { Log } from "../lib/log.ts";
import type { KeeperSettings } from "../protocol/log-keeper.ts";
import type { Bounds } from "./kept-log.ts";

export type LogKeeperOptions = {
  home: string;
  /** The program src/logs/keeper.ts, as source or as published. */
  entry: string;
  bounds: Bounds;
  log: Log;
};

/**
 * The log keeper as the controller knows it. It goes on when the controller does not, and a new controller starts one of
 * its own version in its place. The apps do not depend on it.
 */
export function logKeeper({ home, entry, bounds, log }: LogKeeperOptions): KeptProcess {
  const file = (name: string) => join(home, "run", "logs", name);
  const settings: KeeperSettings = {
    apps: join(home, "apps"),
    control: file("keeper.sock"),
    lock: file("keeper.lock"),
    ...bounds,
  };
  return new KeptProcess({ name: "log-keeper", entry, settings, output: file("keeper.log"), log });
}
