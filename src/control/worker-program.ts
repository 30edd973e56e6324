import { isIP } from "node:net";
import { isDeepStrictEqual } from "node:util";
import type { WorkerSettings, WorkerStatus } from "../protocol/worker.ts";

/** The workers that are wanted: how many, of which program and version, and with which settings. */
export type WorkerProgram = {
  entry: string;
  version: string;
  settings: Omit<WorkerSettings, "control">;
  count: number;
};

/**
 * What to do with a worker that runs already: keep it, replace it by a sibling on the same sockets, or let it go
 * because it listens elsewhere than wanted.
 */
export function judge(status: WorkerStatus, wanted: WorkerProgram): "keep" | "replace" | "let go" {
  const { control: _own, ...settings } = status.settings;
  if (!listensAsWanted(status, wanted.settings.listen)) return "let go";
  const { listen: _its, ...others } = settings;
  const { listen: _wanted, ...wantedOthers } = wanted.settings;
  return status.version === wanted.version && isDeepStrictEqual(others, wantedOthers) ? "keep" : "replace";
}

/**
 * By the addresses that it has, whatever it was told: a sibling has its elder's sockets. Where somebody asks for any free
 * port, the one that it has will do. A host that is a name, or none, may be any address.
 */
export function listensAsWanted(
  { addresses }: WorkerStatus,
  listen: WorkerProgram["settings"]["listen"],
): boolean {
  return (
    addresses.length === listen.length &&
    listen.every(({ host, port }, index) => {
      const has = addresses[index];
      if (!has || (port !== 0 && port !== has.port)) return false;
      return host === undefined ? isAny(has.host) : isIP(host) === 0 || has.host === host;
    })
  );
}

const isAny = (host: string) => host === "::" || host === "0.0.0.0";
