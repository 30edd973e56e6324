import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { namesIn } from "../../src/lib/directory.ts";
import type { Failure, Outcome } from "./load.ts";

/** Why a request may have failed: it was inside a process when that was killed. */
export type Excuse = (failure: Failure) => Promise<boolean> | boolean;

/**
 * A worker was killed: what was sent on a connection that it had accepted is lost, once on each. (The next request of
 * that client has another connection.)
 */
export function insideWorker(connections: ReadonlySet<number>, killedAt: number): Excuse {
  const left = new Set(connections);
  return ({ connection, endedAt }) => endedAt >= killedAt && left.delete(connection ?? 0);
}

/**
 * An instance was killed: what was under way at it is lost. No other instance has seen such a request; each writes
 * down what it gets, in logs that bear its name.
 */
export function insideInstance(
  { host, logs, name }: { host: string; logs: string; name: string },
  killedAt: number,
): Excuse {
  return async (failure) => {
    if (failure.host !== host || failure.beganAt >= killedAt || failure.endedAt < killedAt) return false;
    for (const file of await namesIn(logs)) {
      if (file.startsWith(`${name}.`)) continue;
      const seen = await readFile(join(logs, file), "utf8").catch(() => ""); // removed meanwhile: long ended
      if (seen.includes(`${failure.id}\n`)) return false;
    }
    return true;
  };
}

/** The failures that nothing excuses, in words. */
export async function unexcused(failures: readonly Failure[], excuses: readonly Excuse[]): Promise<string[]> {
  const left: string[] = [];
  for (const failure of failures) {
    if (!(await isExcused(failure, excuses))) left.push(describeFailure(failure));
  }
  return left;
}

async function isExcused(failure: Failure, excuses: readonly Excuse[]): Promise<boolean> {
  for (const excuse of excuses) if (await excuse(failure)) return true;
  return false;
}

function describeFailure({ id, beganAt, endedAt, connection, message }: Failure): string {
  const from = connection === null ? "without a connection" : `on the connection from port ${connection}`;
  return `${id}, ${from}, from ${beganAt.toFixed(1)} to ${endedAt.toFixed(1)} ms: ${message}`;
}

/** What was deployed of one app, in order, and by when it had been confirmed: a deploy may be cut off. */
export class Deploys {
  readonly #sent: { version: string; sentAt: number; confirmedAt: number }[] = [];
  readonly #versionOf = new Map<string, string>();

  /** Call what is returned when the deploy was answered: from then on nothing older may answer. */
  begin(version: string): () => void {
    const sent = { version, sentAt: performance.now(), confirmedAt: Number.POSITIVE_INFINITY };
    this.#sent.push(sent);
    return () => {
      sent.confirmedAt = performance.now();
    };
  }

  /** Answers of a version that could not be there any more, or not yet, or of a release that is two versions. */
  wrong(outcomes: readonly Outcome[]): string[] {
    return outcomes
      .filter((outcome) => !this.#couldAnswer(outcome) || !this.#isWhole(outcome))
      .map(({ id, version, release }) => `${id} was answered by version ${version} of release ${release}`);
  }

  #couldAnswer({ version, beganAt, endedAt }: Outcome): boolean {
    const index = this.#sent.findIndex((sent) => sent.version === version);
    const sent = this.#sent[index];
    if (!sent || endedAt < sent.sentAt) return false;
    return this.#sent.slice(index + 1).every(({ confirmedAt }) => confirmedAt >= beganAt);
  }

  #isWhole({ version, release = "none" }: Outcome): boolean {
    const known = this.#versionOf.get(release);
    if (known === undefined) this.#versionOf.set(release, version);
    return known === undefined || known === version;
  }
}
