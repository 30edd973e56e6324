/* The parts of npm's own packages that are used here; they bring no types. */

declare module "pacote" {
  type Options = Readonly<Record<string, unknown>>;
  type Manifest = { engines?: { node?: string } };
  const pacote: {
    /** What a registry knows of a package, by version. */
    packument(name: string, options: Options): Promise<{ versions: Record<string, Manifest> }>;
    /** Puts a package into a directory, once its integrity has been verified. */
    extract(spec: string, directory: string, options: Options): Promise<{ integrity: string }>;
  };
  export default pacote;
}

declare module "@npmcli/config" {
  type Options = {
    definitions: unknown;
    shorthands: unknown;
    flatten: unknown;
    nerfDarts: unknown;
    npmPath: string;
    argv: string[];
    env: NodeJS.ProcessEnv;
    cwd: string;
    execPath: string;
    warn: boolean;
  };
  export default class Config {
    constructor(options: Options);
    load(): Promise<void>;
    get(name: string): unknown;
    /** As pacote and the other packages of npm take it. */
    readonly flat: Readonly<Record<string, unknown>>;
  }
}

declare module "@npmcli/config/lib/definitions/index.js" {
  const parts: Record<"definitions" | "shorthands" | "flatten" | "nerfDarts", unknown>;
  export default parts;
}
