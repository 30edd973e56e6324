import { readFileSync } from "node:fs";
import { join, relative } from "node:path";

/** A hierarchy of control groups that this process can see, and where in it this process is. */
export type Hierarchy = {
  version: 1 | 2;
  /** Those of v1, by name. What v2 has, its files say, for each group by itself. */
  controllers: readonly string[];
  /** Where it is mounted. */
  mount: string;
  /** The directory of the group in which this process is. */
  own: string;
};

/** Of the running process, by proc_pid_mountinfo(5) and cgroups(7). Empty where there is no /proc. */
export function ownHierarchies(): Hierarchy[] {
  try {
    return parseHierarchies(
      readFileSync("/proc/self/mountinfo", "utf8"),
      readFileSync("/proc/self/cgroup", "utf8"),
    );
  } catch {
    return []; // no Linux, or a /proc that is closed: nothing can be known, so nothing can be had
  }
}

/** A hierarchy that is not mounted where our group could be reached is left out. */
export function parseHierarchies(mountinfo: string, cgroup: string): Hierarchy[] {
  const mounts = mountinfo.split("\n").flatMap(parseMount);
  return cgroup.split("\n").flatMap((line) => {
    const [, names, path] = /^\d+:([^:]*):(\/.*)$/.exec(line) ?? [];
    if (names === undefined || path === undefined) return [];
    const controllers = names === "" ? [] : names.split(",");
    const version = controllers.length === 0 ? 2 : 1;
    const found = mounts
      .filter((mount) => mount.version === version && controllers.every((name) => mount.options.has(name)))
      .flatMap(({ root, mount }) => {
        const below = relative(root, path);
        return below.startsWith("..")
          ? []
          : ({ version, controllers, mount, own: join(mount, below) } as const);
      });
    return found.slice(0, 1);
  });
}

type Mount = { version: 1 | 2; root: string; mount: string; options: ReadonlySet<string> };

/** "31 23 0:28 ROOT MOUNT rw,relatime shared:1 - cgroup SOURCE rw,memory" */
function parseMount(line: string): Mount[] {
  const [front = "", back = ""] = line.split(" - ");
  const [, , , root, mount] = front.split(" ");
  const [type, , options = ""] = back.split(" ");
  if (root === undefined || mount === undefined || (type !== "cgroup" && type !== "cgroup2")) return [];
  const version = type === "cgroup2" ? 2 : 1;
  return [
    {
      version,
      root: withoutEscapes(root),
      mount: withoutEscapes(mount),
      options: new Set(options.split(",")),
    },
  ];
}

/** The kernel writes spaces, tabs, newlines and backslashes of a path in octal. */
const withoutEscapes = (path: string) =>
  path.replace(/\\([0-7]{3})/g, (_, octal: string) => String.fromCharCode(Number.parseInt(octal, 8)));
