import {
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { mirrorEtc } from "../../../src/apprunner/sandbox/etc-mirror.ts";

let top: string;
let etc: string;
let directory: string;
beforeEach(() => {
  top = mkdtempSync(join(tmpdir(), "etc-mirror-"));
  etc = join(top, "etc");
  directory = join(top, "mirror");
  for (const path of [directory, join(etc, "alternatives"), join(etc, "fonts/conf.d")])
    mkdirSync(path, { recursive: true });
  writeFileSync(join(etc, "resolv.conf"), "nameserver 192.0.2.1\n");
  symlinkSync("/usr/bin/less", join(etc, "alternatives/pager"));
  symlinkSync("../one.conf", join(etc, "fonts/conf.d/10-one.conf"));
  writeFileSync(join(etc, "fonts/one.conf"), "one");
});
afterEach(() => rmSync(top, { recursive: true }));

const read = (name: string) => readFileSync(join(directory, name), "utf8");
const everything = () => readdirSync(directory).sort();

describe("the mirror of /etc", () => {
  it("holds what is there, links as links", () => {
    mirrorEtc(directory, etc);
    expect(read("resolv.conf")).toBe("nameserver 192.0.2.1\n");
    expect(read("fonts/conf.d/10-one.conf")).toBe("one");
    expect(readdirSync(join(directory, "alternatives"))).toEqual(["pager"]);
  });

  it("follows what is replaced, renamed into or added, and keeps nothing of before", () => {
    mirrorEtc(directory, etc);
    const before = everything();
    writeFileSync(join(etc, "resolv.conf.new"), "nameserver 192.0.2.2\n");
    rmSync(join(etc, "resolv.conf"));
    symlinkSync("resolv.conf.new", join(etc, "resolv.conf"));
    writeFileSync(join(etc, "fonts/conf.d/20-two.conf"), "two");
    symlinkSync("/usr/bin/vi", join(etc, "alternatives/editor"));
    mirrorEtc(directory, etc);
    expect(read("resolv.conf")).toBe("nameserver 192.0.2.2\n");
    expect(read("fonts/conf.d/20-two.conf")).toBe("two");
    expect(readdirSync(join(directory, "alternatives")).sort()).toEqual(["editor", "pager"]);
    expect(everything()).toHaveLength(before.length);
  });

  it("does nothing when nothing is new", () => {
    mirrorEtc(directory, etc);
    const before = everything();
    mirrorEtc(directory, etc);
    expect(everything()).toEqual(before);
  });

  it("keeps what it has of what is gone, and takes what was never there for nothing", () => {
    mirrorEtc(directory, etc);
    rmSync(join(etc, "resolv.conf"));
    rmSync(join(etc, "fonts"), { recursive: true });
    mirrorEtc(directory, etc);
    expect(read("resolv.conf")).toBe("nameserver 192.0.2.1\n");
    const empty = join(top, "empty");
    mkdirSync(empty);
    mirrorEtc(empty, join(top, "nowhere"));
    expect(readdirSync(empty)).toEqual([]);
  });

  it("takes the place of the directories and files to which earlier versions mounted", () => {
    mkdirSync(join(directory, "fonts"));
    writeFileSync(join(directory, "resolv.conf"), "");
    mirrorEtc(directory, etc);
    expect(read("resolv.conf")).toBe("nameserver 192.0.2.1\n");
    expect(read("fonts/one.conf")).toBe("one");
  });

  it("is for everyone to read, whatever the umask", () => {
    const umask = process.umask(0o077);
    try {
      mirrorEtc(directory, etc);
    } finally {
      process.umask(umask);
    }
    const modes = ["fonts", "fonts/one.conf", "fonts/conf.d", "resolv.conf"].map(
      (name) => statSync(join(directory, name)).mode & 0o777,
    );
    expect(modes).toEqual([0o755, 0o644, 0o755, 0o644]);
  });
});
