import type { DeployStep } from "../deploy.ts";
import type { Session } from "../operations.ts";
import type { CommandLine } from "./command-line.ts";
import { stepProgress } from "./progress.ts";
import type { Screen } from "./render/screen.ts";

type Deploying<Report> = (
  client: Session,
  signal: AbortSignal,
  onProgress: (step: DeployStep) => void,
) => Promise<Report>;

/** `server`: the one to ask, when it is not the one that the command line names. */
type Deployed = { sendsFirst: boolean; server?: string | undefined };

/** Shows the steps on standard error while they go on, then the end on standard output. */
export async function deployShown<Report>(
  line: CommandLine,
  { sendsFirst, server }: Deployed,
  work: Deploying<Report>,
  render: (report: Report, tookMs: number, screen: Screen) => string,
): Promise<Report> {
  const began = line.parts.terminal.now();
  const progress = stepProgress(line.parts.terminal);
  let restarting = !sendsFirst;
  const show = (step: DeployStep) => {
    restarting ||= step.step === "send" && step.state === "done";
    progress.show(step);
  };
  const explain = () =>
    restarting
      ? "interrupted, but the server goes on with this deploy by itself: `maestro builds` shows what it is at, `maestro builds cancel` ends it, `maestro releases` tells how it ended"
      : "interrupted while the files were being sent; nothing was restarted";
  try {
    const report = await line.interruptible(
      (signal) => line.whileOpening(server, (client) => work(client, signal, show)),
      explain,
    );
    progress.end("done");
    line.print(report, (output, screen) => render(output, line.parts.terminal.now() - began, screen));
    return report;
  } catch (error) {
    progress.end("failed");
    throw error;
  }
}
