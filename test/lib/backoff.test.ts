import { expect, test } from "vitest";
import { backoff } from "../../src/lib/backoff.ts";

const take = (count: number, pauses: { next(): number }) =>
  Array.from({ length: count }, () => pauses.next());

test("pauses double up to the most", () => {
  expect(take(5, backoff({ first: 100, most: 500 }))).toEqual([100, 200, 400, 500, 500]);
});

test("the factor can be another", () => {
  expect(take(3, backoff({ first: 1, most: 100, factor: 3 }))).toEqual([1, 3, 9]);
});

test("after a reset it begins again", () => {
  const pauses = backoff({ first: 100, most: 500 });
  take(3, pauses);
  pauses.reset();
  expect(take(2, pauses)).toEqual([100, 200]);
});

test("jitter varies each pause by no more than its share", () => {
  const all = take(200, backoff({ first: 100, most: 100, jitter: 0.2 }));
  expect(Math.min(...all)).toBeGreaterThanOrEqual(80);
  expect(Math.max(...all)).toBeLessThanOrEqual(120);
  expect(new Set(all).size).toBeGreaterThan(1);
});
