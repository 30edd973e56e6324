import { chmod, mkdir } from "node:fs/promises";
import { join } from "node:path";
import { MaestroError } from "./errors.ts";
import { LockedError, takeLock } from "./lib/lock-file.ts";

/** Apps' users pass through the home to their own directory; what is Maestro's own is closed to them. */
export async function prepareHome(home: string): Promise<void> {
  await mkdir(home, { recursive: true, mode: 0o755 });
  for (const [name, mode] of [
    ["apps", 0o711],
    ["runtimes", 0o755],
    ["state", 0o700],
    ["run", 0o700],
    ["data", 0o700],
  ] as const) {
    await mkdir(join(home, name), { recursive: true });
    await chmod(join(home, name), mode);
  }
}

/** One controller at a time. Throws `BUSY` with the pid of the other. */
export async function lockHome(home: string): Promise<AsyncDisposable> {
  try {
    return await takeLock(join(home, "run", "controller.lock"));
  } catch (error) {
    if (!(error instanceof LockedError)) throw error;
    throw new MaestroError(
      "BUSY",
      `Maestro is already running on ${home}, as process ${error.pid}; use another --home, or end it with \`maestro stop\``,
      { home, pid: error.pid },
    );
  }
}
