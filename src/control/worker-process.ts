import { open } from "node:fs/promises";
import { MaestroError } from "../errors.ts";
import { spawnOrphan } from "../lib/orphan.ts";
import { siblingMs, WorkerReady, type WorkerSettings } from "../protocol/worker.ts";

/**
 * Starts the first worker, which listens itself; resolves when it does. Its output goes to a file, never into a
 * pipe of this process, so that it can outlive it. `handed`: descriptors of sockets that listen already; it takes those
 * that fit. Throws `BAD_INPUT` when an address cannot be had.
 */
export async function forkWorker(
  entry: string,
  settings: WorkerSettings,
  { outputFile, handed }: { outputFile: string; handed: readonly number[] },
): Promise<void> {
  await using output = await open(outputFile, "a", 0o600);
  const node = ["--disable-warning=ExperimentalWarning", entry];
  const words = [...(handed.length > 0 ? ["--handed", String(handed.length)] : []), JSON.stringify(settings)];
  const worker = spawnOrphan(process.execPath, [...node, ...words], {
    env: { PATH: process.env["PATH"], NODE_COMPILE_CACHE: process.env["NODE_COMPILE_CACHE"] },
    stdio: ["ignore", output.fd, output.fd, "ipc", ...handed],
  });
  const { promise, resolve, reject } = Promise.withResolvers<WorkerReady>();
  worker.once("message", (message) => resolve(WorkerReady.parse(message)));
  worker.once("error", reject);
  const late = setTimeout(
    () => reject(new MaestroError("INTERNAL", `a proxy worker did not come up in time; see ${outputFile}`)),
    siblingMs,
  );
  worker.once("disconnect", () => {
    reject(new MaestroError("INTERNAL", `a proxy worker ended at its start; see ${outputFile}`));
  });
  try {
    const answer = await promise;
    if (answer.type === "failed") throw notListening(answer.message, answer.code, settings);
  } finally {
    clearTimeout(late);
    if (worker.connected) worker.disconnect();
    worker.unref();
  }
}

function notListening(message: string, code: string | undefined, settings: WorkerSettings): MaestroError {
  const wanted = settings.listen.map(({ host, port }) => `${host ?? ""}:${port}`).join(", ");
  const why =
    code === "EADDRINUSE"
      ? "another program listens there; end it or choose another address with --http"
      : code === "EACCES"
        ? "ports below 1024 need root or CAP_NET_BIND_SERVICE; choose another with --http"
        : message;
  return new MaestroError("BAD_INPUT", `cannot listen for HTTP on ${wanted}: ${why}`, {
    listen: wanted,
    code,
  });
}
