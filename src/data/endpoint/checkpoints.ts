import { readFile } from "node:fs/promises";
import { z } from "zod";
import { isSystemError } from "../../errors.ts";
import { writeWhole } from "../../lib/atomic-file.ts";
import type { Side } from "./sequences.ts";

/** Everything of `from` up to `through` had come to the other side when that one was at `at`. */
const Point = z.object({ from: z.enum(["local", "remote"]), through: z.string(), at: z.string() });
type Point = z.infer<typeof Point>;
const Points = z.object({ v: z.literal(1), points: z.array(Point) });

const mostPoints = 500;

/**
 * What sequences of the two homes have to do with each other, as replication showed it. To resume a feed at the other
 * home, a point is looked for of which everything has surely been seen; without one the feed begins anew: changes may be
 * repeated, and none is left out.
 */
export class Checkpoints {
  readonly #path: string;
  #points: Point[];

  private constructor(path: string, points: Point[]) {
    this.#path = path;
    this.#points = points;
  }

  static async open(path: string): Promise<Checkpoints> {
    try {
      return new Checkpoints(path, Points.parse(JSON.parse(await readFile(path, "utf8"))).points);
    } catch (error) {
      // Without them, feeds begin anew: what is damaged is not worth a refusal.
      if (isSystemError(error, "ENOENT") || error instanceof SyntaxError || error instanceof z.ZodError) {
        return new Checkpoints(path, []);
      }
      throw error;
    }
  }

  /** `through`: read before `at` was. */
  async add(from: Side, through: string, at: string): Promise<void> {
    const last = this.#points.findLast((point) => point.from === from);
    if (last?.through === through && last.at === at) return;
    this.#points.push({ from, through, at });
    if (this.#points.length > mostPoints) this.#points = thinned(this.#points);
    await writeWhole(this.#path, JSON.stringify({ v: 1, points: this.#points }));
  }

  /** Where a feed resumes at `side` for somebody who has seen the other side up to `seen`. */
  resume(side: Side, seen: string): string {
    const point = this.#points.findLast(({ from, at }) => from === side && isWithin(at, seen));
    return point?.through ?? "0";
  }
}

/**
 * Whether one who has seen everything up to `seen` has seen everything up to `at`. Plain numbers can be compared. The
 * sequences of a CouchDB with shards cannot: of those only the same one is sure.
 */
function isWithin(at: string, seen: string): boolean {
  if (at === seen) return true;
  return /^\d{1,15}$/.test(at) && /^\d{1,15}$/.test(seen) && Number(at) <= Number(seen);
}

/** The older half loses every second point: a resumption from there repeats somewhat more. */
function thinned(points: readonly Point[]): Point[] {
  const half = Math.floor(points.length / 2);
  return points.filter((_, index) => index >= half || index % 4 < 2);
}
