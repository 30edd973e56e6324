import { describe, expect, it } from "vitest";
import { ownHierarchies, parseHierarchies } from "../../../src/apprunner/cgroup/hierarchies.ts";

const v2 =
  "30 23 0:26 / /sys/fs/cgroup rw,nosuid,nodev shared:9 - cgroup2 cgroup2 rw,nsdelegate,memory_recursiveprot";

describe("the hierarchies of control groups", () => {
  it("of a systemd machine are one of v2", () => {
    expect(
      parseHierarchies(`22 1 8:1 / / rw - ext4 /dev/vda rw\n${v2}\n`, "0::/system.slice/maestro.service\n"),
    ).toEqual([
      {
        version: 2,
        controllers: [],
        mount: "/sys/fs/cgroup",
        own: "/sys/fs/cgroup/system.slice/maestro.service",
      },
    ]);
  });

  it("of v1 are one for each mount, whatever the order of what is mounted together", () => {
    const mounts = `
33 32 0:30 / /sys/fs/cgroup/cpu,cpuacct rw,relatime shared:16 - cgroup cgroup rw,cpu,cpuacct
34 32 0:31 / /sys/fs/cgroup/memory rw,relatime shared:17 - cgroup cgroup rw,memory
35 32 0:32 / /sys/fs/cgroup/systemd rw,relatime - cgroup cgroup rw,xattr,name=systemd`;
    const groups = "5:cpuacct,cpu:/a\n4:memory:/\n3:pids:/a\n1:name=systemd:/b\n0::/c";
    expect(parseHierarchies(mounts, groups).map(({ controllers, own }) => [controllers, own])).toEqual([
      [["cpuacct", "cpu"], "/sys/fs/cgroup/cpu,cpuacct/a"],
      [["memory"], "/sys/fs/cgroup/memory"],
      [["name=systemd"], "/sys/fs/cgroup/systemd/b"],
    ]);
  });

  it("in a container begin at what it was given, and are left out where our group cannot be reached", () => {
    const bind = "30 23 0:26 /docker/abc /sys/fs/cgroup rw - cgroup2 cgroup rw";
    expect(parseHierarchies(bind, "0::/docker/abc/app\n")[0]?.own).toBe("/sys/fs/cgroup/app");
    expect(parseHierarchies(bind, "0::/docker/abcdef\n")).toEqual([]);
    expect(parseHierarchies(bind, "0::/../other\n")).toEqual([]);
    expect(parseHierarchies("", "0::/\n")).toEqual([]);
  });

  it("may be mounted at a path with spaces", () => {
    const mount = "30 23 0:26 / /mnt/c\\040group rw - cgroup2 none rw";
    expect(parseHierarchies(mount, "0::/x:y\n")[0]?.own).toBe("/mnt/c group/x:y");
  });

  it("of this process are found", () => {
    expect(ownHierarchies().map(({ own, mount }) => own.startsWith(mount))).not.toContain(false);
  });
});
