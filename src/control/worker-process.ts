import { fork } from "node:child_process";
import { open } from "node:fs/promises";
import { MaestroError } from "../errors.ts";
import { WorkerReady, type WorkerSettings } from "../protocol/worker.ts";

/**
 * Starts the first worker, which listens itself; resolves when it does. Its output goes to a file, never into a
 * pipe of this process, so that it can outlive it. Throws `BAD_INPUT` when an address cannot be had.
 */
export async function forkWorker(entry: string, settings: WorkerSettings, outputFile: string): Promise<void> {
  await using output = await open(outputFile, "a", 0o600);
  const worker = fork(entry, [JSON.stringify(settings)], {
    detached: true,
    env: { PATH: process.env["PATH"] },
    execArgv: ["--disable-warning=ExperimentalWarning"],
    stdio: ["ignore", output.fd, output.fd, "ipc"],
  });
  const { promise, resolve, reject } = Promise.withResolvers<WorkerReady>();
  worker.once("message", (message) => resolve(WorkerReady.parse(message)));
  worker.once("error", reject);
  worker.once("exit", (code, signal) => {
    reject(
      new MaestroError(
        "INTERNAL",
        `a proxy worker ended at its start (${signal ?? code}); see ${outputFile}`,
      ),
    );
  });
  try {
    const answer = await promise;
    if (answer.type === "failed") throw notListening(answer.message, answer.code, settings);
  } finally {
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
