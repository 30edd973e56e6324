import { z } from "zod";
import { CouchError } from "./errors.ts";

type Reduce = (keys: unknown, values: unknown[], rereduce: boolean) => unknown;

/** `_sum`, `_count` and `_stats`, which CouchDB has itself; null for a function of the app's own. */
export function builtInReduce(source: string): Reduce | null {
  if (!source.trim().startsWith("_")) return null;
  const reduce = Object.hasOwn(builtIns, source.trim()) ? builtIns[source.trim()] : undefined;
  if (reduce) return (_keys, values) => reduce(values);
  throw new CouchError(501, "not_implemented", `the embedded database has no reduce ${source}`);
}

const builtIns: Record<string, (values: unknown[]) => unknown> = {
  _count: (values) => values.length,
  _sum: (values) => values.map((value) => parse(Summand, value)).reduce(add, 0),
  _stats: (values) => {
    const numbers = values.map((value) => parse(z.number(), value));
    return {
      sum: numbers.reduce((total, value) => total + value, 0),
      count: numbers.length,
      min: numbers.reduce((least, value) => Math.min(least, value), Number.POSITIVE_INFINITY),
      max: numbers.reduce((most, value) => Math.max(most, value), Number.NEGATIVE_INFINITY),
      sumsqr: numbers.reduce((total, value) => total + value * value, 0),
    };
  },
};

const Summand = z.union([z.number(), z.array(z.number())]);
type Summand = z.infer<typeof Summand>;

/** Numbers, and arrays of numbers place by place: a number counts as an array of one. */
function add(a: Summand, b: Summand): Summand {
  if (typeof a === "number" && typeof b === "number") return a + b;
  const [left, right] = [[a].flat(), [b].flat()];
  const length = Math.max(left.length, right.length);
  return Array.from({ length }, (_, index) => (left[index] ?? 0) + (right[index] ?? 0));
}

function parse<T extends z.ZodType>(schema: T, value: unknown): z.output<T> {
  const parsed = schema.safeParse(value);
  if (parsed.success) return parsed.data;
  throw new CouchError(500, "builtin_reduce_error", "a built-in reduce function takes numbers only");
}
