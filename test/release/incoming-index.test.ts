import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { isSettled, recallDigests, rememberDigests } from "../../src/release/incoming-index.ts";
import type { SourceFile, SourceIdentity } from "../../src/release/tree.ts";
import { temporaryDirectory } from "../support/release.ts";

const readAtMs = 1_700_000_000_000;
const nsBefore = (ms: number) => BigInt(readAtMs - ms) * 1_000_000n + 1n;
const settled: SourceIdentity = { ino: 7n, size: 3n, mtimeNs: 5n, ctimeNs: nsBefore(60_000) };
const file = (identity: SourceIdentity, digest: string | null): SourceFile => ({
  kind: "file",
  path: "a",
  executable: false,
  size: 3,
  digest,
  identity,
});

describe("a change after the reading shows in the identity of a file", () => {
  test("that was last changed well before it", () => {
    expect(isSettled({ ctimeNs: nsBefore(200) }, readAtMs)).toBe(true);
  });

  test("but not surely of one that was changed within a tick, or in the future", () => {
    expect(isSettled({ ctimeNs: nsBefore(50) }, readAtMs)).toBe(false);
    expect(isSettled({ ctimeNs: nsBefore(-5000) }, readAtMs)).toBe(false);
  });

  test("nor on a file system that counts whole seconds, within some of them", () => {
    expect(isSettled({ ctimeNs: BigInt(readAtMs - 2000) * 1_000_000n }, readAtMs)).toBe(false);
    expect(isSettled({ ctimeNs: BigInt(readAtMs - 3000) * 1_000_000n }, readAtMs)).toBe(true);
  });
});

async function recalled(remembered: SourceIdentity, found: SourceIdentity): Promise<string | null> {
  const index = join(temporaryDirectory(), "incoming.json");
  await rememberDigests(index, [file(remembered, "d1")], readAtMs);
  const again = file(found, null);
  await recallDigests(index, [again]);
  return again.digest;
}

test("the digest of a settled file is known again", async () => {
  expect(await recalled(settled, settled)).toBe("d1");
});

test.each(["ino", "size", "mtimeNs", "ctimeNs"] as const)("but not when its %s is another", async (field) => {
  expect(await recalled(settled, { ...settled, [field]: settled[field] + 1n })).toBe(null);
});

test("nor when it was not settled", async () => {
  const racy = { ...settled, ctimeNs: nsBefore(1) };
  expect(await recalled(racy, racy)).toBe(null);
});
