import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { layOutEtc } from "../../../src/apprunner/sandbox/etc.ts";
import { type Users, usersFor, writeUsers } from "../../../src/apprunner/sandbox/users.ts";

let directory = "";
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), "users-test-"));
});
afterEach(() => rmSync(directory, { recursive: true, force: true }));

const written = (users: Users, name: string) =>
  readFileSync(join(users.directory, name), "utf8").trim().split("\n");

describe("the users that an app is told of", () => {
  it("are root and itself, by a name that is the same for every app", () => {
    const users = usersFor({ uid: 1_900_000_016, gid: 1_900_000_017 }, directory);
    writeUsers(users);
    writeUsers(users); // at its next start
    const names = (line: string) => line.split(":").slice(0, 4).join(":");
    expect(written(users, "passwd").map(names)).toEqual(["root:x:0:0", "app:x:1900000016:1900000017"]);
    expect(written(users, "group")).toEqual(["root:x:0:", "app:x:1900000017:"]);
    expect(users.over).toEqual([[users.directory, "/etc/users"]]);
    expect(readdirSync(directory)).toEqual([basename(users.directory)]);
  });

  it("are only root for an app that is root", () => {
    const users = usersFor({ uid: 0, gid: 0 }, directory);
    writeUsers(users);
    expect([written(users, "passwd").length, written(users, "group")]).toEqual([1, ["root:x:0:"]]);
  });

  it("can be read by the app whatever Maestro's umask is", () => {
    const users = usersFor({ uid: 1000, gid: 1000 }, directory);
    const umask = process.umask(0o077);
    try {
      writeUsers(users);
    } finally {
      process.umask(umask);
    }
    const modes = [users.directory, join(users.directory, "passwd")].map((path) => statSync(path).mode);
    expect(modes.map((mode) => mode & 0o777)).toEqual([0o755, 0o644]);
  });

  it("are bound over places that a next controller leaves where they are", () => {
    const inode = () => statSync(join(directory, "etc/users")).ino;
    layOutEtc(join(directory, "etc"));
    const first = inode();
    layOutEtc(join(directory, "etc"));
    expect(inode()).toBe(first);
  });
});
