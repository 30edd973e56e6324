import { execFile } from "node:child_process";
import { promisify } from "node:util";
import { isSystemError, MaestroError } from "../../errors.ts";
import { readText } from "../source-file.ts";
import { keyOf } from "./key.ts";
import { hasFile, type Project, type Recipe } from "./recipe.ts";

const mostBytes = 1024 * 1024;

/** Where it lies in a release; its programs are first on the path of the app. */
const venv = ".venv";

/** How a project of Python is built: in an environment of its own. Null when it is none. */
export async function pythonRecipe(project: Project): Promise<Recipe | null> {
  if (!isPython(project)) return null;
  const requirements = await readText(project.directory, "requirements.txt", mostBytes);
  const version = await pythonVersion();
  const needsPip = requirements !== null;
  const make = ["python3", "-m", "venv", ...(needsPip ? [] : ["--without-pip"]), venv];
  const pip = [`${venv}/bin/python`, "-m", "pip", "install", "--no-input", "--disable-pip-version-check"];
  return {
    key: keyOf("python", version, requirements, readsMore(requirements) ? await project.checksum() : null),
    install: [
      { title: `Making an environment of ${version}`, command: make },
      ...(needsPip
        ? [{ title: "Installing requirements.txt", command: [...pip, "-r", "requirements.txt"] }]
        : []),
    ],
    compile: [],
    prune: null,
    env: {},
    home: {},
    tools: [],
    explain: (line) =>
      line.includes("ensurepip is not available")
        ? "this machine's Python makes no environments; install the package python3-venv on the server"
        : null,
    notes: [],
  };
}

/** One that brings an environment along is taken as it is. */
function isPython(project: Project): boolean {
  if (project.entries.some(({ path }) => path === venv)) return false;
  if (hasFile(project, "requirements.txt")) return true;
  const isScript = ({ kind, path }: { kind: string; path: string }) =>
    kind === "file" && path.endsWith(".py") && !path.includes("/");
  return project.entries.some(isScript) && hasFile(project, "Procfile") && !hasFile(project, "package.json");
}

/** Whether it names other files: of lists, of the project itself, or of packages that lie in it. */
const readsMore = (requirements: string | null) =>
  requirements !== null &&
  /^\s*(-r|-c|-e|-f|--(requirement|constraint|editable|find-links)|\.|\/)|file:/m.test(requirements);

/** "Python 3.11.2": of the machine, as an app finds it. */
async function pythonVersion(): Promise<string> {
  try {
    const { stdout } = await promisify(execFile)("python3", ["--version"], {
      env: { PATH: "/usr/local/bin:/usr/bin:/bin" },
    });
    return stdout.trim();
  } catch (error) {
    if (!isSystemError(error, "ENOENT")) throw error;
    throw new MaestroError(
      "BUILD_FAILED",
      "there is no Python on the server; install the packages python3 and python3-venv",
      {},
      { cause: error },
    );
  }
}
