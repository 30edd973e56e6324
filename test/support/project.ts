import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { afterAll } from "vitest";

/** Text by path. */
export type Files = Record<string, string>;

export function writeFiles(directory: string, files: Files): void {
  for (const [path, text] of Object.entries(files)) {
    mkdirSync(dirname(join(directory, path)), { recursive: true });
    writeFileSync(join(directory, path), text);
  }
}

const projects: string[] = [];
afterAll(() => {
  for (const directory of projects) rmSync(directory, { recursive: true, force: true });
});

/** A directory with these files, which is gone after the tests of a file. */
export function project(files: Files): string {
  const directory = mkdtempSync(join(tmpdir(), "maestro-project-"));
  projects.push(directory);
  writeFiles(directory, files);
  return directory;
}

/** Answers what it has installed, which Node it runs on, and the text in version.txt. */
const server = `
import { existsSync, readFileSync } from "node:fs";
import { createServer } from "node:http";
import { greet } from "greet";
const compiled = existsSync("dist/out.txt") ? readFileSync("dist/out.txt", "utf8") : null;
const answer = {
  version: readFileSync("version.txt", "utf8"), greet, compiled, node: process.version,
  pinned: existsSync("node_modules/pinned"), release: process.env.MAESTRO_RELEASE,
};
createServer((_, response) => response.end(JSON.stringify(answer))).listen(process.env.PORT, "127.0.0.1");
`;

const compile = `
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { pinned } from "pinned";
console.log("compiling as", process.getuid(), "in", process.cwd(), process.env.NODE_ENV, process.env.SECRET ?? "");
mkdirSync("dist", { recursive: true });
writeFileSync("dist/out.txt", pinned + " " + readFileSync("version.txt", "utf8"));
`;

const packageJson = {
  name: "built",
  private: true,
  type: "module",
  scripts: { start: "node server.js", build: "node compile.js" },
  dependencies: { greet: "file:vendor/greet-1.0.0.tgz" },
  devDependencies: { pinned: "file:vendor/pinned-1.0.0.tgz" },
};

export type PackageChanges = Partial<Record<keyof typeof packageJson | "engines" | "maestro", unknown>>;

/**
 * A project with a lock file, a build script, a dependency and a development dependency, both as archives that lie in
 * it: to install them takes no network.
 */
export function nodeProject(files: Files = {}, changes: PackageChanges = {}): string {
  const pkg = { ...packageJson, ...changes };
  const directory = project({
    "package.json": JSON.stringify(pkg),
    "server.js": server,
    "compile.js": compile,
    "version.txt": "first",
    ...files,
  });
  const archives = ["greet", "pinned"].map((name) => [name, archive(directory, name)] as const);
  const { dependencies, devDependencies } = packageJson;
  const lock = {
    name: "built",
    lockfileVersion: 3,
    packages: {
      "": { name: "built", dependencies, devDependencies },
      ...Object.fromEntries(
        archives.map(([name, integrity]) => [
          `node_modules/${name}`,
          {
            version: "1.0.0",
            resolved: `file:vendor/${name}-1.0.0.tgz`,
            integrity,
            ...(name === "pinned" ? { dev: true } : {}),
          },
        ]),
      ),
    },
  };
  writeFileSync(join(directory, "package-lock.json"), JSON.stringify(lock));
  return directory;
}

/** The same archive of the same files, whenever it is made. */
const reproducible = [
  "--mtime=@0",
  "--owner=0",
  "--group=0",
  "--sort=name",
  "--use-compress-program=gzip -n",
];

/** vendor/NAME-1.0.0.tgz, which exports its name. Answers its integrity, as npm writes it. */
function archive(directory: string, name: string): string {
  const source = mkdtempSync(join(tmpdir(), "maestro-archive-"));
  const path = join(directory, "vendor", `${name}-1.0.0.tgz`);
  writeFiles(join(source, "package"), {
    "package.json": JSON.stringify({ name, version: "1.0.0", type: "module", exports: "./index.js" }),
    "index.js": `export const ${name} = "${name} 1.0.0";\n`,
  });
  mkdirSync(dirname(path), { recursive: true });
  execFileSync("tar", [...reproducible, "-cf", path, "-C", source, "package"]);
  rmSync(source, { recursive: true });
  return `sha512-${createHash("sha512").update(readFileSync(path)).digest("base64")}`;
}
