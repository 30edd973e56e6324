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
  if (!listensAsWanted(status, wanted)) return "let go";
  const { listen: _its, ...others } = settings;
  const { listen: _wanted, ...wantedOthers } = wanted.settings;
  return status.version === wanted.version && isDeepStrictEqual(others, wantedOthers) ? "keep" : "replace";
}

/** Where somebody asks for any free port, the one that it has will do; where for no address in particular, for all. */
function listensAsWanted({ addresses, settings }: WorkerStatus, wanted: WorkerProgram): boolean {
  const { listen } = wanted.settings;
  if (isDeepStrictEqual(settings.listen, listen)) return true;
  return (
    addresses.length === listen.length &&
    listen.every(({ host = "::", port }, index) => {
      const has = addresses[index];
      return has?.host === host && (port === 0 || port === has.port);
    })
  );
}
