import { setTimeout as pause } from "node:timers/promises";
import type { Command } from "commander";
import type { ReloadReport, StatusReport } from "../../../src/app/reports.ts";
import { MaestroError } from "../../../src/errors.ts";
import { backoff } from "../../../src/lib/backoff.ts";
import type { Session } from "../../operations.ts";
import type { CommandLine } from "../command-line.ts";
import { renderReloaded } from "../render/reload.ts";
import { examples } from "./example.ts";

/** How long the next version may take until it answers, ms: deploys that are under way are seen through before. */
const patienceMs = 180_000;
const pauses = { first: 100, most: 1000 };

export function addReloadCommand(program: Command, line: CommandLine): void {
  program
    .command("reload")
    .summary("replace the running Maestro by the installed version")
    .description(
      "Replaces the running Maestro by the version that is installed now, dropping nothing: the new version checks itself,\n" +
        "its proxy workers take over the sockets one by one, then the controller becomes it, with the same pid. When the new\n" +
        "version does not check or come up, the old one stays and says why.",
    )
    .addHelpText("after", examples("maestro reload"))
    .action(() => reload(line));
}

async function reload(line: CommandLine): Promise<void> {
  const { now, stderr } = line.parts.terminal;
  const began = now();
  if (stderr.isTTY) stderr.write("checking the installed version and replacing the proxy workers…\n");
  await line.interruptible(
    (signal) =>
      line.withServer(async (client) => {
        const report = await client.call("reload", {}, { signal });
        const status = await untilReplaced(client, report, signal);
        const output = { ...report, tookMs: now() - began, to: status.version };
        line.print(output, renderReloaded);
      }),
    () => "interrupted, but the server goes on with the reload by itself; `maestro status` shows the version",
  );
}

/** The next version is there when `status` tells of another start. */
async function untilReplaced(
  client: Session,
  { startedAt, to }: ReloadReport,
  signal: AbortSignal,
): Promise<StatusReport> {
  const deadline = performance.now() + patienceMs;
  const waits = backoff(pauses);
  let last: unknown;
  while (performance.now() < deadline) {
    try {
      const status = await client.call("status", {}, { signal });
      if (status.startedAt !== startedAt) return status;
    } catch (error) {
      signal.throwIfAborted();
      last = error;
    }
    await pause(waits.next(), undefined, { signal });
  }
  throw new MaestroError(
    "RELOAD_FAILED",
    `the workers are of version ${to} by now, but no controller of it has answered; see the log of \`maestro serve\``,
    {},
    { cause: last },
  );
}
