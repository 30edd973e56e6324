import { randomBytes } from "node:crypto";
import { chmod, chown, copyFile, mkdir, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { AppUser } from "../../app/app.ts";
import type { LaunchSpec } from "../../app/instance.ts";
import { noLimits } from "../../app/limits.ts";
import type { CanaryOptions } from "./canary.ts";

/** Two apps as they would lie on this machine. */
export type CanaryPlace = {
  canary: LaunchSpec;
  neighbour: LaunchSpec;
  /** What of the neighbour's there is to be got at, by the machine's paths. */
  targets: { file: string; stored: string; left: string; state: string; secret: string };
  remove(): Promise<void>;
};

/** Lays them out below the home, with the owners and modes that releases and storage have. */
export async function layOut({ home, users, ports }: CanaryOptions): Promise<CanaryPlace> {
  const root = join(home, "canary");
  await rm(root, { recursive: true, force: true });
  await mkdir(root, { mode: 0o711 });
  const stamp = randomBytes(4).toString("hex");
  const secret = randomBytes(12).toString("hex");
  const left = join("/tmp", `maestro-neighbour-${stamp}`);
  const spec = async (app: string, program: string, port: number, user: AppUser | null) =>
    describe(join(root, app), `${app}.web.1.v0.${stamp}`, { app, program, port, user });
  const canary = await spec("canary", "attacks.mjs", ports[0], userOf(users?.canary));
  const neighbour = await spec("neighbour", "neighbour.mjs", ports[1], userOf(users?.neighbour));
  const storage = join(root, "neighbour", "storage");
  const file = await give(join(neighbour.directory, "secret.txt"), neighbour.user);
  await mkdir(storage, { mode: 0o700 });
  const stored = await give(join(storage, "kept.txt"), neighbour.user);
  return {
    canary,
    neighbour: { ...neighbour, storage, env: { SECRET: secret, LEFT: left } },
    targets: { file, stored, left, state: join(home, "state"), secret },
    remove: () => rm(root, { recursive: true, force: true }),
  };
}

const userOf = (uid: number | undefined): AppUser | null => (uid === undefined ? null : { uid, gid: uid });

type Described = { app: string; program: string; port: number; user: AppUser | null };

async function describe(
  directory: string,
  key: string,
  { app, program, port, user }: Described,
): Promise<LaunchSpec> {
  await mkdir(directory, { mode: 0o711 });
  const release = join(directory, "release");
  await mkdir(release);
  await copyFile(join(import.meta.dirname, program), join(release, program));
  await chmod(join(release, program), user ? 0o640 : 0o644);
  await chmod(release, user ? 0o750 : 0o755);
  if (user) for (const path of [release, join(release, program)]) await chown(path, 0, user.gid);
  return {
    ...{ app, key, id: "web.1", release: 0, directory: release, port, user },
    start: { kind: "node", file: program },
    env: {},
    storage: null,
    limits: noLimits,
    runDirectory: join(directory, "run"),
    output: { stdout: join(directory, "out.log"), stderr: join(directory, "err.log") },
  };
}

async function give(path: string, user: AppUser | null): Promise<string> {
  await writeFile(path, "the neighbour's own\n", { mode: 0o640 });
  if (user) await chown(path, 0, user.gid);
  return path;
}
