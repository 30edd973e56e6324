import { execFile } from "node:child_process";
import { access, rm, writeFile } from "node:fs/promises";
import { promisify } from "node:util";

const run = promisify(execFile);

/** What Maestro is measured beside: the program, and the Debian package that brings it. */
export const neighbours = {
  nginx: { program: "/usr/sbin/nginx", package: "nginx-light" },
  haproxy: { program: "/usr/sbin/haproxy", package: "haproxy" },
  caddy: { program: "/usr/bin/caddy", package: "caddy" },
} as const;
export type Neighbour = keyof typeof neighbours;

/** Those that are there, after an attempt to install the others. What cannot be had is said on standard error. */
export async function installNeighbours(
  names: readonly Neighbour[] = Object.keys(neighbours) as Neighbour[],
): Promise<Set<Neighbour>> {
  const missing: Neighbour[] = [];
  for (const name of names) if (!(await exists(neighbours[name].program))) missing.push(name);
  if (missing.length > 0) await install(missing);
  const found = new Set<Neighbour>();
  for (const name of names) {
    if (await exists(neighbours[name].program)) found.add(name);
    else console.error(`bench: ${name} is not here and could not be installed; its rows are missing`);
  }
  return found;
}

/** policy-rc.d is how Debian lets an installation start no service; an existing policy is left as it is. */
async function install(names: readonly Neighbour[]): Promise<void> {
  if (process.getuid?.() !== 0 || !(await exists("/usr/bin/apt-get"))) return;
  const packages = names.map((name) => neighbours[name].package);
  console.error(`bench: installing with apt-get: ${packages.join(" ")} (no service is started)`);
  const policy = "/usr/sbin/policy-rc.d";
  const isOurs = !(await exists(policy));
  if (isOurs) await writeFile(policy, "#!/bin/sh\nexit 101\n", { mode: 0o755 });
  const env = { ...process.env, DEBIAN_FRONTEND: "noninteractive" };
  const get = (...args: string[]) => run("apt-get", ["-qq", ...args], { env });
  try {
    await get("install", "-y", "--no-install-recommends", ...packages).catch(async () => {
      await get("update");
      await get("install", "-y", "--no-install-recommends", ...packages);
    });
  } catch (error) {
    console.error(`bench: ${String(error)}`);
  } finally {
    if (isOurs) await rm(policy, { force: true });
  }
}

async function exists(path: string): Promise<boolean> {
  return access(path).then(
    () => true,
    () => false,
  );
}
