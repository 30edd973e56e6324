import { mkdtempSync, readFileSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { layOutEtc } from "../../../src/apprunner/sandbox/etc.ts";
import { usersFor, writeUsers } from "../../../src/apprunner/sandbox/users.ts";

let directory = "";
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), "users-test-"));
});
afterEach(() => rmSync(directory, { recursive: true, force: true }));

const written = (name: string) =>
  readFileSync(join(directory, "users", name), "utf8")
    .trim()
    .split("\n");

describe("the users that an app is told of", () => {
  it("are root and itself, by a name that is the same for every app", () => {
    const users = usersFor({ uid: 1_900_000_016, gid: 1_900_000_017 }, directory);
    writeUsers(users);
    const names = (line: string) => line.split(":").slice(0, 4).join(":");
    expect(written("passwd").map(names)).toEqual(["root:x:0:0", "app:x:1900000016:1900000017"]);
    expect(written("group")).toEqual(["root:x:0:", "app:x:1900000017:"]);
    expect(users.over).toEqual([[join(directory, "users"), "/etc/users"]]);
  });

  it("are only root for an app that is root", () => {
    writeUsers(usersFor({ uid: 0, gid: 0 }, directory));
    expect([written("passwd").length, written("group")]).toEqual([1, ["root:x:0:"]]);
  });

  it("can be read by the app whatever Maestro's umask is", () => {
    const umask = process.umask(0o077);
    try {
      writeUsers(usersFor({ uid: 1000, gid: 1000 }, directory));
    } finally {
      process.umask(umask);
    }
    expect(statSync(join(directory, "users/passwd")).mode & 0o777).toBe(0o644);
  });

  it("are bound over places that a next controller leaves where they are", () => {
    const inode = () => statSync(join(directory, "etc/users")).ino;
    layOutEtc(join(directory, "etc"));
    const first = inode();
    layOutEtc(join(directory, "etc"));
    expect(inode()).toBe(first);
  });
});
