import type { Readiness, ReleasePlan, Start } from "../app/release.ts";
import { MaestroError } from "../errors.ts";
import { readAppJson } from "./app-json.ts";
import { readPackageJson } from "./package-json.ts";
import { parseProcfile } from "./procfile.ts";
import { findFile, isDirectory, readText } from "./source-file.ts";

const mostProcfileBytes = 64 * 1024;
const programs = ["app.js", "server.js", "index.js"];
const lookedFor = [
  "Procfile",
  "package.json with scripts.start",
  "apprunner.js",
  ...programs,
  "index.html",
] as const;

/**
 * What to start of the code in a directory, and when it is ready. `shownAs` is the directory that errors name,
 * when the code was sent to another place than where it is read.
 *
 * Throws `NOTHING_TO_RUN`, and `BAD_INPUT` for a Procfile, package.json or app.json that does not parse.
 */
export async function detect(directory: string, shownAs = directory): Promise<ReleasePlan> {
  const pkg = await readPackageJson(directory);
  const { healthPath, static: staticOfApp, build: _, ...declared } = await readAppJson(directory);
  const found =
    (await fromProcfile(directory)) ??
    (await fromStatic(directory, staticOfApp ?? pkg.static)) ??
    (pkg.start === null ? null : web("package.json scripts.start", { kind: "line", line: pkg.start })) ??
    (await fromFile(directory, "apprunner.js", { kind: "apprunner" }, { kind: "port" })) ??
    (await fromPrograms(directory)) ??
    (await fromFile(directory, "index.html", { kind: "static" }));
  if (found === null) throw await nothingToRun(directory, shownAs);
  return {
    ...found,
    ...declared,
    ready: healthPath === null ? found.ready : { kind: "health", path: healthPath },
    notes: [...pkg.notes, ...declared.notes, ...strangersIn(declared.formation, found.processes)],
  };
}

type Found = Pick<ReleasePlan, "source" | "processes" | "ready">;

const answersHttp: Readiness = { kind: "http", path: "/" };

const web = (source: string, start: Start, ready: Readiness = answersHttp): Found => ({
  source,
  processes: { web: start },
  ready,
});

async function fromProcfile(directory: string): Promise<Found | null> {
  const text = await readText(directory, "Procfile", mostProcfileBytes);
  if (text === null) return null;
  const starts = [...parseProcfile(text)].map(([type, line]): [string, Start] => [
    type,
    { kind: "line", line },
  ]);
  return { source: "Procfile", processes: Object.fromEntries(starts), ready: answersHttp };
}

/** Above the start script: of a site that is built, that is what its author runs at home. */
async function fromStatic(directory: string, files: string | null): Promise<Found | null> {
  if (files === null) return null;
  if (await isDirectory(directory, files)) {
    return web(`static files in ${files}`, { kind: "static", directory: files });
  }
  throw new MaestroError(
    "NOTHING_TO_RUN",
    `there is no directory ${JSON.stringify(files)}, which "maestro": { "static": … } names; it has to be sent, or made by the build script`,
    { static: files },
  );
}

async function fromPrograms(directory: string): Promise<Found | null> {
  for (const file of programs) {
    const found = await fromFile(directory, file, { kind: "node", file });
    if (found) return found;
  }
  return null;
}

async function fromFile(
  directory: string,
  file: string,
  start: Start,
  ready?: Readiness,
): Promise<Found | null> {
  return (await findFile(directory, file)) === null ? null : web(file, start, ready);
}

function strangersIn(formation: ReleasePlan["formation"], processes: ReleasePlan["processes"]): string[] {
  return Object.keys(formation)
    .filter((type) => !Object.hasOwn(processes, type))
    .map((type) => `app.json's formation names ${type}, which is not a process of this app`);
}

async function nothingToRun(directory: string, shownAs: string): Promise<MaestroError> {
  const inWebapp =
    (await findFile(directory, "webapp/package.json")) ?? (await findFile(directory, "webapp/app.js"));
  const hint = inWebapp === null ? "" : "; what is in webapp/ needs an apprunner.js beside webapp/";
  return new MaestroError(
    "NOTHING_TO_RUN",
    `there is nothing to start in ${shownAs}: it has none of ${lookedFor.join(", ")}${hint}`,
    { directory: shownAs, lookedFor },
  );
}
