import { chmod, readdir, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { expect, test } from "vitest";
import { Configs } from "../../src/control/configs.ts";
import { temporaryDirectory } from "../support/release.ts";

const fileOf = (home: string, version: number) => join(home, "state/config/shop", `c${version}.json`);

test("each version of a config is a file that only its owner reads, and stays as it was", async () => {
  const home = temporaryDirectory();
  const configs = new Configs(home);
  expect(await configs.read("shop", null)).toEqual({});
  expect(await configs.write("shop", { KEY: "one" }, 0)).toBe(1);
  expect(await configs.write("shop", { KEY: "two\n'\"" }, 1)).toBe(2);
  expect(await configs.read("shop", 1)).toEqual({ KEY: "one" });
  expect(await configs.read("shop", 2)).toEqual({ KEY: "two\n'\"" });
  expect((await stat(fileOf(home, 1))).mode & 0o777).toBe(0o600);
});

test("a number that a release may still name is not given again", async () => {
  expect(await new Configs(temporaryDirectory()).write("shop", { KEY: "one" }, 6)).toBe(7);
});

test("what no release has goes, and what was not finished", async () => {
  const home = temporaryDirectory();
  const configs = new Configs(home);
  for (const value of ["one", "two", "three"]) await configs.write("shop", { KEY: value }, 0);
  await writeFile(`${fileOf(home, 4)}.torn.tmp`, "{");
  await configs.sweep("shop", new Set([2]));
  expect(await readdir(join(home, "state/config/shop"))).toEqual(["c2.json"]);
  await configs.forget("shop");
  await expect(configs.read("shop", 2)).rejects.toMatchObject({ code: "INTERNAL" });
});

test("one that was damaged or is another app's is refused, and nothing of it is shown", async () => {
  const home = temporaryDirectory();
  const configs = new Configs(home);
  await configs.write("shop", { KEY: "hunter2" }, 0);
  for (const text of [
    '{"v":1,"values":{"KEY":"hunter2"',
    '{"v":1,"app":"blog","version":1,"values":{"KEY":"hunter2"}}',
  ]) {
    await writeFile(fileOf(home, 1), text);
    await chmod(fileOf(home, 1), 0o600);
    const failure = await configs.read("shop", 1).catch((error: Error) => error);
    expect(failure).toMatchObject({
      code: "INTERNAL",
      message: expect.stringContaining("the config of shop"),
    });
    expect(JSON.stringify({ ...failure, cause: String((failure as Error).cause) })).not.toContain("hunter2");
  }
});
