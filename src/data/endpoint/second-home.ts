import { randomUUID } from "node:crypto";
import type { Transport } from "../../http/pool.ts";
import { Backend } from "./backend.ts";
import { Health } from "./health.ts";

/** A database's second home, and whether it is well. Its paths begin at the database. */
export type Remote = { backend: Backend; health: Health };

/** What there is under the second home's name: the database that was replicated to, another one, or none. */
export type Found = "ours" | "another" | "none";

/** `mark`: by which it is known again; null: it has none yet. `begin` makes of what was found one that can be served. */
export function watchSecondHome(
  url: string,
  transport: Transport,
  mark: () => string | null,
  begin: (found: Exclude<Found, "ours">) => Promise<void>,
): Remote {
  const backend = new Backend({ url }, transport);
  const probe = async (signal: AbortSignal) => {
    const found = await look(backend, mark(), signal);
    if (found !== "ours") await begin(found);
    return null;
  };
  const health = new Health({
    probe,
    failures: 2,
    successes: 1,
    calmMs: 1000,
    doubtMs: 500,
    patienceMs: 2000,
  });
  return { backend, health };
}

/** A local document, which is not replicated and goes with its database. */
const pathOf = (mark: string) => `/_local/maestro-${mark}`;

/** Rejects when that cannot be told now. */
export async function look(backend: Backend, mark: string | null, signal?: AbortSignal): Promise<Found> {
  if (mark !== null && (await backend.has(pathOf(mark), signal))) return "ours";
  if (!(await backend.has("", signal))) return "none";
  return mark === null ? "ours" : "another";
}

/** Leaves a mark in a database that has none. */
export async function leaveMark(backend: Backend): Promise<string> {
  const mark = randomUUID();
  await backend.must("PUT", pathOf(mark), { body: {} });
  return mark;
}
