import { refusal } from "./failures.ts";
import type { LinkEntry, SourceEntry } from "./tree.ts";

/** As many as Linux follows (path_resolution(7)). */
const mostHops = 40;

/**
 * Throws `BAD_INPUT` for a symlink that is absolute, or that leads out of the tree. Links are followed as the
 * kernel would, through other links too: with `up -> ..`, the target `up/up/etc` is not where it looks.
 * One that leads to nothing inside, or round in circles, is harmless and stays.
 */
export function refuseEscapes(entries: readonly SourceEntry[]): void {
  const links = new Map<string, LinkEntry>();
  for (const entry of entries) if (entry.kind === "link") links.set(entry.path, entry);
  for (const { path, target } of links.values()) {
    if (target.startsWith("/")) throw refusal(path, `is a symlink to the absolute path ${target}`);
    if (escapes(path, links)) throw refusal(path, `is a symlink that leads out of the release (${target})`);
  }
}

function escapes(path: string, links: ReadonlyMap<string, LinkEntry>): boolean {
  const here: string[] = [];
  const ahead = path.split("/");
  let hops = 0;
  for (let part = ahead.shift(); part !== undefined; part = ahead.shift()) {
    if (part === "" || part === ".") continue;
    if (part === "..") {
      if (here.pop() === undefined) return true;
      continue;
    }
    here.push(part);
    const link = links.get(here.join("/"));
    if (link === undefined) continue;
    hops += 1;
    if (hops > mostHops) return false;
    if (link.target.startsWith("/")) return true;
    here.pop();
    ahead.unshift(...link.target.split("/"));
  }
  return false;
}
