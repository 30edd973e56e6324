import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdir, mkdtemp, readlink, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { pathToFileURL } from "node:url";
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
    expect(await readlink(path)).toMatch(new RegExp(`^${process.pid}:\\d+$`));
  }
  await expect(readlink(path)).rejects.toThrow("ENOENT");
});

it("a lock whose holder lives is refused, with the pid of the holder", async () => {
  await mkdir(join(directory, "run"));
  await symlink(`${process.ppid}:${readProcess(process.ppid)?.startTime}`, path);
  await expect(takeLock(path)).rejects.toMatchObject({ pid: process.ppid });
});

it.each([
  ["whose holder has ended", () => symlink("4194303:1", path)],
  ["whose holder's pid is a stranger's by now", () => symlink(`${process.ppid}:1`, path)],
  ["that says nothing of a holder", () => symlink("nonsense", path)],
  ["that is a file", () => writeFile(path, "nonsense")],
])("a lock %s is taken over", async (_, leave) => {
  await mkdir(join(directory, "run"));
  await leave();
  await using _lock = await takeLock(path);
  expect(await readlink(path)).toMatch(new RegExp(`^${process.pid}:`));
});

it("of several processes that find a dead holder's lock at once, one takes it", async () => {
  await mkdir(join(directory, "run"));
  const lock = pathToFileURL(join(import.meta.dirname, "../../src/lib/lock-file.ts")).href;
  const program = `
    import { takeLock } from ${JSON.stringify(lock)};
    process.stdin.once("data", async () => {
      const taken = await takeLock(${JSON.stringify(path)}).then(() => "taken", () => "refused");
      process.stdout.write(taken + "\\n");
      process.stdin.once("data", () => process.exit());
    });
    process.stdout.write("here\\n");
  `;
  for (let round = 0; round < 3; round += 1) {
    await rm(path, { force: true });
    await symlink("4194303:1", path);
    const takers = Array.from({ length: 5 }, () => {
      const child = spawn(process.execPath, ["--input-type=module", "-e", program], {
        stdio: ["pipe", "pipe", "ignore"],
      });
      return { child, lines: createInterface({ input: child.stdout })[Symbol.asyncIterator]() };
    });
    const says = () => Promise.all(takers.map(async ({ lines }) => (await lines.next()).value));
    expect(await says()).toEqual(takers.map(() => "here"));
    for (const { child } of takers) child.stdin.write("go\n");
    expect((await says()).filter((word) => word === "taken")).toHaveLength(1);
    const ended = takers.map(({ child }) => once(child, "exit"));
    for (const { child } of takers) child.stdin.end("end\n");
    await Promise.all(ended);
  }
});
