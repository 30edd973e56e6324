import { readdirSync, readFileSync } from "node:fs";
import { dirname, join, relative, resolve } from "node:path";
import { describe, expect, it } from "vitest";

const root = resolve(import.meta.dirname, "..");

/** Who may import whom: docs/architecture.md. `lib` and packages are open to everyone. */
const allowed: Record<string, readonly string[]> = {
  bin: [
    "serve",
    "check",
    "ending",
    "config",
    "sdk",
    "operations",
    "apprunner",
    "release",
    "service",
    "errors",
    "app",
  ],
  serve: ["maestro", "home", "ending", "reload", "service", "control", "operations", "config", "errors"],
  home: ["errors"],
  ending: ["maestro", "home", "control", "config", "errors"],
  check: ["maestro", "runner", "control", "config", "protocol", "errors"],
  reload: ["config", "control", "app", "protocol", "errors"],
  runner: ["config", "control", "apprunner", "app", "errors"],
  maestro: [
    "config",
    "runner",
    "access",
    "rpc",
    "operations",
    "control",
    "proxy",
    "apprunner",
    "logs",
    "data",
    "release",
    "app",
    "protocol",
    "errors",
  ],
  config: ["app", "errors"],
  operations: ["control", "app", "protocol", "errors"],
  control: ["config", "app", "protocol", "errors"],
  access: ["app", "protocol", "errors"],
  rpc: ["app", "protocol", "errors"],
  proxy: ["http", "app", "protocol", "errors"],
  apprunner: ["app", "protocol", "errors"],
  logs: ["app", "protocol", "errors"],
  data: ["http", "app", "protocol", "errors"],
  release: ["app", "protocol", "errors"],
  http: [],
  app: ["errors"],
  service: ["config", "app", "errors"],
  protocol: ["app", "errors"],
  sdk: ["app", "protocol", "errors"],
  errors: [],
  lib: ["errors"],
};

/** The room of a file: "control" for src/control/restart.ts, "config" for src/config.ts, "bin", "sdk". */
function roomOf(path: string): string {
  const [top = "", second = ""] = relative(root, path).split("/");
  return top === "src" ? second.replace(/\.ts$/, "") : top;
}

function sourcesIn(directory: string): string[] {
  return readdirSync(join(root, directory), { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile() && entry.name.endsWith(".ts"))
    .map((entry) => join(entry.parentPath, entry.name));
}

/** `later`: by `import()`, so that it need not be loaded at the start. */
type Import = { from: string; to: string; typeOnly: boolean; later: boolean };

function importsOf(path: string): Import[] {
  const text = readFileSync(path, "utf8");
  const found = text.matchAll(
    /(?:^|\n)\s*(import|export)\s+(type\s)?[^;'"]*?from\s+"(\.[^"]+)"|import\(\s*"(\.[^"]+)"/g,
  );
  return [...found].map((match) => ({
    from: path,
    to: resolve(dirname(path), match[3] ?? match[4] ?? ""),
    typeOnly: match[2] !== undefined,
    later: match[4] !== undefined,
  }));
}

/** The files that are loaded with these. `atStart`: what they import later is left out. */
function loadedWith(entries: readonly string[], { atStart = false } = {}): string[] {
  const reached = new Set<string>();
  const visit = (path: string): void => {
    if (reached.has(path)) return;
    reached.add(path);
    for (const { to, typeOnly, later } of importsOf(path)) if (!typeOnly && !(atStart && later)) visit(to);
  };
  for (const entry of entries) visit(join(root, entry));
  return [...reached];
}

const imports = ["bin", "src", "sdk"].flatMap(sourcesIn).flatMap(importsOf);

describe("the rooms of the house", () => {
  it("are entered only by those who may", () => {
    const trespasses = imports
      .map(({ from, to }) => ({ from: relative(root, from), room: roomOf(from), into: roomOf(to) }))
      .filter(({ room, into }) => into !== room && into !== "lib" && !allowed[room]?.includes(into))
      .map(({ from, into }) => `${from} imports ${into}`);
    expect(trespasses).toEqual([]);
  });

  it("have each their place in the table above", () => {
    const rooms = new Set(["bin", "src", "sdk"].flatMap(sourcesIn).map(roomOf));
    expect([...rooms].filter((room) => !(room in allowed))).toEqual([]);
  });

  it.each([
    ["a worker", "src/proxy/worker.ts"],
    ["the log keeper", "src/logs/keeper.ts"],
    ["the embedded database", "src/data/server.ts"],
  ])("keep %s free of the controller, and of whatever else only the controller needs", (_, entry) => {
    const rooms = new Set(loadedWith([entry]).map(roomOf));
    expect(
      [...rooms].filter((room) => ["control", "operations", "rpc", "apprunner", "release"].includes(room)),
    ).toEqual([]);
  });

  it("let a deploy start ssh before anything is loaded that takes as long as ssh does", () => {
    const start = loadedWith(["bin/maestro.ts", "sdk/cli/commands/deploy.ts", "sdk/client.ts"], {
      atStart: true,
    });
    const slow = start.filter((path) => /from "(zod|dnode)"/.test(readFileSync(path, "utf8")));
    expect(slow.map((path) => relative(root, path))).toEqual([]);
  });

  it("stay small enough to read: no source file above 250 lines", () => {
    const long = ["bin", "src", "sdk"]
      .flatMap(sourcesIn)
      .map((path) => ({ path: relative(root, path), lines: readFileSync(path, "utf8").split("\n").length }))
      .filter(({ lines }) => lines > 250);
    expect(long).toEqual([]);
  });
});
