import { MaestroError } from "../../errors.ts";
import { poll } from "../../lib/poll.ts";
import { readControl, readField, writeControl } from "./control-file.ts";
import type { Part } from "./part.ts";

export type Frozenness = "frozen" | "thawed";

/**
 * Stops all of a group where it stands, or lets it go on, and resolves when that has happened. Throws `INTERNAL` when
 * it has not within `limitMs`; a group that cannot be frozen goes on.
 */
export async function turn(part: Part, name: string, to: Frozenness, limitMs = 5000): Promise<void> {
  const signal = AbortSignal.timeout(limitMs);
  try {
    await poll(() => (turned(part, to) ? true : null), { first: 1, most: 20 }, { signal });
  } catch (cause) {
    if (!signal.aborted) throw cause;
    if (to === "frozen") ask(part, "thawed");
    const message = `${name} could not be ${to} within ${limitMs} ms; one of its processes waits inside the kernel`;
    throw new MaestroError("INTERNAL", message, { name }, { cause });
  }
}

/** Asks each time anew: v1 may need it for what was just forked. */
function turned(part: Part, to: Frozenness): boolean {
  ask(part, to);
  return stateOf(part) === to;
}

function ask({ version, directory }: Part, to: Frozenness): void {
  if (version === 2) writeControl(directory, "cgroup.freeze", to === "frozen" ? 1 : 0);
  else writeControl(directory, "freezer.state", to.toUpperCase());
}

/** Null between the two. */
function stateOf({ version, directory }: Part): Frozenness | null {
  if (version === 2) return readField(directory, "cgroup.events", "frozen") === 1 ? "frozen" : "thawed";
  const state = readControl(directory, "freezer.state")?.trim().toLowerCase();
  return state === "frozen" || state === "thawed" ? state : null;
}
