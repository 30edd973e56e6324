import { mkdtemp, readdir, readFile, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, onTestFinished, test } from "vitest";
import { syncDirectory, writeAtomic } from "../../src/lib/atomic-file.ts";

async function temporaryDirectory(): Promise<string> {
  const directory = await mkdtemp(join(tmpdir(), "maestro-atomic-"));
  onTestFinished(() => rm(directory, { recursive: true, force: true }));
  return directory;
}

test("a file is written with the directories that lead to it, readable by its owner alone", async () => {
  const path = join(await temporaryDirectory(), "a/b/file");
  await writeAtomic(path, "text");
  expect(await readFile(path, "utf8")).toBe("text");
  expect((await stat(path)).mode & 0o777).toBe(0o600);
});

test("a file that is there is replaced, not written into", async () => {
  const path = join(await temporaryDirectory(), "file");
  await writeFile(path, "old");
  const { ino } = await stat(path);
  await writeAtomic(path, Buffer.from("new"), 0o640);
  expect(await readFile(path, "utf8")).toBe("new");
  expect(await stat(path)).not.toMatchObject({ ino });
});

test("readers at the same time find one whole content or another", async () => {
  const path = join(await temporaryDirectory(), "file");
  const contents = ["a", "b", "c"].map((letter) => letter.repeat(100_000));
  await writeAtomic(path, contents[0] ?? "");
  const writing = Promise.all(contents.map((content) => writeAtomic(path, content)));
  let isWriting = true;
  void writing.finally(() => {
    isWriting = false;
  });
  while (isWriting) expect(contents).toContain(await readFile(path, "utf8"));
  await writing;
});

test("a write that fails leaves nothing beside what was there", async () => {
  const directory = await temporaryDirectory();
  await writeAtomic(join(directory, "taken/file"), "x");
  await expect(writeAtomic(join(directory, "taken"), "text")).rejects.toThrow(/EISDIR|ENOTEMPTY|EEXIST/);
  expect(await readdir(directory)).toEqual(["taken"]);
});

test("a directory that is not there cannot be synced", async () => {
  await expect(syncDirectory(join(await temporaryDirectory(), "gone"))).rejects.toThrow(/ENOENT/);
});
