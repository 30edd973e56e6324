import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { Registry } from "../../src/control/registry.ts";

let home: string;
beforeEach(async () => {
  home = await mkdtemp(join(tmpdir(), "maestro-registry-"));
});
afterEach(async () => {
  await rm(home, { recursive: true, force: true });
});

const open = () => Registry.open(home, "example.com");

describe("the registry", () => {
  it("still knows after a restart what was saved", async () => {
    const registry = await open();
    const app = await registry.create("blog", true);
    await registry.save({ ...app, hostnames: ["blog.test"], release: 3, previousRelease: 2 });
    expect((await open()).get("blog")).toEqual({
      ...app,
      hostnames: ["blog.test"],
      release: 3,
      previousRelease: 2,
    });
  });

  it("gives each app a user of its own, and never one that another had", async () => {
    const registry = await open();
    const first = await registry.create("first", true);
    const second = await registry.create("second", true);
    expect(second.user?.uid).not.toBe(first.user?.uid);
    await registry.remove("second");
    const third = await (await open()).create("third", true);
    expect([first.user?.uid, second.user?.uid]).not.toContain(third.user?.uid);
    expect(registry.isAppUid(second.user?.uid ?? 0)).toBe(true);
    expect(registry.isAppUid(0)).toBe(false);
  });

  it("makes one app of two that are made at once by the same name", async () => {
    const registry = await open();
    const [one, other] = await Promise.all([registry.create("blog", true), registry.create("blog", true)]);
    expect(other).toEqual(one);
    expect(registry.get("blog")).toEqual(one);
  });

  it("gives no users where Maestro cannot have apps run as them", async () => {
    expect((await (await open()).create("blog", false)).user).toBeNull();
  });

  it("knows whose a hostname is: one that was given, or the default while none was", async () => {
    const registry = await open();
    const app = await registry.create("blog", false);
    expect(registry.ownerOf("blog.example.com")?.name).toBe("blog");
    await registry.save({ ...app, hostnames: ["blog.test"] });
    expect(registry.ownerOf("blog.example.com")).toBeUndefined();
    expect(registry.ownerOf("blog.test")?.name).toBe("blog");
  });

  it.each([
    ["is cut off", '{"v":1,"name":"hurt","hos'],
    ["names another app", '{"v":1,"name":"other","hostnames":[],"user":null,"release":null}'],
    ["is of another version", '{"v":9,"name":"hurt"}'],
    ["is empty", ""],
    ["is no object", "[]"],
  ])("keeps a file that %s, says which, and goes on with the others", async (_, text) => {
    await (await open()).create("sound", false);
    const path = join(home, "state/apps/hurt.json");
    await writeFile(path, text);
    const registry = await open();
    expect(registry.all().map(({ name }) => name)).toEqual(["sound"]);
    expect(registry.broken()).toMatchObject([{ name: "hurt", path }]);
    expect(() => registry.get("hurt")).toThrow(path);
    await expect(registry.create("hurt", false)).rejects.toThrow(path);
    expect(await readFile(path, "utf8")).toBe(text);
  });

  it("sweeps the temporary files of a write that was cut off", async () => {
    await mkdir(join(home, "state/apps"), { recursive: true });
    await writeFile(join(home, "state/apps/blog.json.1234.tmp"), "{");
    const registry = await open();
    expect(await readdir(join(home, "state/apps"))).toHaveLength(1); // A look changes nothing.
    await registry.removeTorn();
    expect(await readdir(join(home, "state/apps"))).toEqual([]);
  });

  it("leaves the old file whole when the new one cannot be written", async () => {
    const registry = await open();
    const app = await registry.create("blog", false);
    const directory = join(home, "state/apps");
    await rm(directory, { recursive: true });
    await writeFile(directory, "in the way");
    await expect(registry.save({ ...app, release: 1 })).rejects.toThrow();
    expect(registry.get("blog").release).toBeNull();
  });
});
