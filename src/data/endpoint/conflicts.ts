import { z } from "zod";
import type { Backend } from "./backend.ts";

const pageSize = 1000;
const Page = z.object({
  last_seq: z.union([z.string(), z.number()]),
  results: z.array(z.object({ id: z.string(), changes: z.array(z.unknown()) })),
});
const WithConflicts = z.looseObject({ _conflicts: z.array(z.unknown()).optional() });

/** How many documents of a database have conflicts: of the few with more than one leaf, those that live are looked at. */
export async function countConflicts(server: Backend, database: string): Promise<number> {
  const path = `/${encodeURIComponent(database)}`;
  let count = 0;
  let since: string | number = 0;
  for (;;) {
    const query = `style=all_docs&limit=${pageSize}&since=${encodeURIComponent(since)}`;
    const page = Page.parse(await server.must("GET", `${path}/_changes?${query}`));
    for (const { id, changes } of page.results) {
      if (changes.length > 1 && (await hasConflicts(server, `${path}/${encodeURIComponent(id)}`))) count += 1;
    }
    if (page.results.length < pageSize) return count;
    since = page.last_seq;
  }
}

async function hasConflicts(server: Backend, path: string): Promise<boolean> {
  const { status, json } = await server.ask("GET", `${path}?conflicts=true`);
  return status === 200 && (WithConflicts.parse(json)._conflicts ?? []).length > 0;
}
