import { execFile } from "node:child_process";
import { cp, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { fixture } from "./maestro.ts";

/** A copy of a fixture with the packages of its lock file, as its developer has it. */
export class Checkout implements AsyncDisposable {
  readonly directory: string;

  private constructor(directory: string) {
    this.directory = directory;
  }

  static async of(name: string): Promise<Checkout> {
    const checkout = new Checkout(await mkdtemp(join(tmpdir(), `maestro-${name}-`)));
    try {
      await cp(fixture(name), checkout.directory, { recursive: true });
      await promisify(execFile)("npm", ["ci", "--prefer-offline", "--no-audit", "--no-fund"], {
        cwd: checkout.directory,
      });
      return checkout;
    } catch (error) {
      await checkout[Symbol.asyncDispose]();
      throw error;
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await rm(this.directory, { recursive: true, force: true });
  }
}
