import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, it } from "vitest";
import { takeLock } from "../../src/lib/lock-file.ts";
import { readProcess } from "../../src/lib/processes.ts";

let directory: string;
let path: string;
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), "maestro-lock-"));
  path = join(directory, "run", "lock");
});
afterEach(async () => {
  await rm(directory, { recursive: true, force: true });
});

it("a lock names its holder, and is free again when it is given back", async () => {
  {
    await using _lock = await takeLock(path);
    expect(JSON.parse(await readFile(path, "utf8")).pid).toBe(process.pid);
  }
  await expect(readFile(path)).rejects.toThrow("ENOENT");
});

it("a lock whose holder lives is refused, with the pid of the holder", async () => {
  await using _lock = await takeLock(path);
  const parent = { pid: process.ppid, startTime: readProcess(process.ppid)?.startTime };
  await writeFile(path, JSON.stringify(parent));
  await expect(takeLock(path)).rejects.toMatchObject({ pid: process.ppid });
});

it.each([
  ["whose holder has ended", { pid: 4_194_303, startTime: "1" }],
  ["whose holder's pid is a stranger's by now", { pid: process.ppid, startTime: "1" }],
  ["that says nothing of a holder", "nonsense"],
])("a lock %s is taken over", async (_, content) => {
  {
    await using _lock = await takeLock(path);
  }
  await writeFile(path, JSON.stringify(content));
  await using _lock = await takeLock(path);
  expect(JSON.parse(await readFile(path, "utf8")).pid).toBe(process.pid);
});
