import { z } from "zod";
import type { Backend } from "./backend.ts";
import type { Checkpoints } from "./checkpoints.ts";
import type { Health } from "./health.ts";
import type { DirectionReport, Replicator } from "./replication.ts";
import type { Side } from "./sequences.ts";

/** The local server, which all databases have in common. */
export type LocalServer = { backend: Backend; health: Health; replicator: Replicator };

const Info = z.looseObject({ update_seq: z.union([z.string(), z.number()]) });

/** Null: the server does not say. */
async function updateSequence(server: Backend, path: string): Promise<string | null> {
  const info = Info.safeParse((await server.ask("GET", path)).json);
  return info.success ? String(info.data.update_seq) : null;
}

/** Notes how far each direction has come, and where the other end is by then. */
export async function noteProgress(
  checkpoints: Checkpoints,
  directions: readonly DirectionReport[],
  servers: Record<Side, Backend>,
  app: string,
): Promise<void> {
  for (const { from, through } of directions) {
    if (through === null) continue;
    const path = from === "local" ? "" : `/${encodeURIComponent(app)}`;
    const at = await updateSequence(servers[from === "local" ? "remote" : "local"], path);
    if (at !== null) await checkpoints.add(from, through, at);
  }
}
