import { existsSync } from "node:fs";
import { delimiter, join } from "node:path";
import type Config from "@npmcli/config";
import { MaestroError } from "../../errors.ts";

/** What a package's versions ask of Node, by version. */
export type Versions = ReadonlyMap<string, { node: string }>;

/** What of the operator's configuration a build is told; none of it is a secret. */
export type RegistrySettings = { registry: string; cafile: string | null };

/**
 * The npm registry that npm's configuration of Maestro's own user names, with what that says of the way to it. npm's own
 * packages are loaded when they are needed first: together they take longer than all of Maestro's start.
 */
export class PackageRegistry {
  #loaded: Promise<Config> | null = null;

  get #config(): Promise<Config> {
    this.#loaded ??= load().catch((error: unknown) => {
      this.#loaded = null; // A file that cannot be read may be mended before the next build.
      throw error;
    });
    return this.#loaded;
  }

  async settings(): Promise<RegistrySettings> {
    const config = await this.#config;
    // What Maestro's own Node trusts besides, builds need too: it is how this machine gets out.
    const cafile = config.get("cafile") ?? process.env["NODE_EXTRA_CA_CERTS"];
    const url = new URL(String(config.get("registry")));
    [url.username, url.password] = ["", ""];
    return { registry: url.href, cafile: typeof cafile === "string" ? cafile : null };
  }

  /** Throws `BUILD_FAILED` when the registry cannot be asked. */
  async versions(name: string): Promise<Versions> {
    const { flat } = await this.#config;
    const { default: pacote } = await import("pacote");
    try {
      const { versions } = await pacote.packument(name, { ...flat, preferOnline: true });
      return new Map(
        Object.entries(versions).map(([version, { engines }]) => [version, { node: engines?.node ?? "*" }]),
      );
    } catch (error) {
      throw await this.#unreachable(name, error);
    }
  }

  /** Puts a version of a package into a directory, verified. Throws `BUILD_FAILED`. */
  async extract(name: string, version: string, directory: string): Promise<void> {
    const { default: pacote } = await import("pacote");
    try {
      await pacote.extract(`${name}@${version}`, directory, (await this.#config).flat);
    } catch (error) {
      throw await this.#unreachable(`${name}@${version}`, error);
    }
  }

  async #unreachable(what: string, cause: unknown): Promise<MaestroError> {
    const { registry } = await this.settings();
    const { code = "", message } = cause as Error & { code?: string };
    return new MaestroError(
      "BUILD_FAILED",
      `${what} could not be fetched from ${registry} (${code || message}); the registry is the one that npm's configuration of Maestro's user names`,
      { package: what, registry, code },
      { cause },
    );
  }
}

/** As the npm of this machine would find it: of the environment, of the user, of the machine. No project's counts here. */
async function load(): Promise<Config> {
  const { default: Config } = await import("@npmcli/config");
  const { default: parts } = await import("@npmcli/config/lib/definitions/index.js");
  const { definitions, shorthands, flatten, nerfDarts } = parts;
  const { env } = process;
  const execPath = nodeBesideNpm(env["PATH"] ?? "") ?? process.execPath;
  const place = { npmPath: "/nonexistent", cwd: "/", argv: [], env, execPath };
  const config = new Config({ definitions, shorthands, flatten, nerfDarts, ...place, warn: false });
  await config.load();
  return config;
}

/** The machine's npmrc lies in `etc` of the prefix where npm is installed, which npm knows by its Node. */
function nodeBesideNpm(path: string): string | undefined {
  const directory = path.split(delimiter).find((place) => existsSync(join(place, "npm")));
  return directory === undefined ? undefined : join(directory, "node");
}
