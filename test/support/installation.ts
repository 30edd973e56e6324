import { cp, mkdtemp, readFile, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { repository } from "./maestro.ts";

/** A Maestro that is installed in a directory of its own, where another version can be put in its place. */
export class Installation implements AsyncDisposable {
  readonly directory: string;

  private constructor(directory: string) {
    this.directory = directory;
  }

  static async create(version: string): Promise<Installation> {
    const installation = new Installation(await mkdtemp(join(tmpdir(), "maestro-installed-")));
    await symlink(join(repository, "node_modules"), join(installation.directory, "node_modules"));
    await installation.install(version);
    return installation;
  }

  /** Installs a version over what is there: this one, under that name, with some files replaced. */
  async install(version: string, files: Record<string, string> = {}): Promise<void> {
    for (const name of ["bin", "src", "sdk"]) {
      await rm(join(this.directory, name), { recursive: true, force: true });
      await cp(join(repository, name), join(this.directory, name), { recursive: true });
    }
    const description = JSON.parse(await readFile(join(repository, "package.json"), "utf8"));
    await this.#write("package.json", JSON.stringify({ ...description, version }));
    for (const [path, content] of Object.entries(files)) await this.#write(path, content);
  }

  async #write(path: string, content: string): Promise<void> {
    await writeFile(join(this.directory, path), content);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await rm(this.directory, { recursive: true, force: true });
  }
}
