/**
 * The pre-receive hook of every app's repository, see githooks(5): what is pushed to the branch that is deployed is put
 * into incoming/ and goes live before git takes the push; when it cannot, the push is refused and what served goes on.
 * What it says is shown to whoever pushes.
 */
import { text } from "node:stream/consumers";
import { checkOut, deployedBranch, isRewritten, type Update } from "./checkout.ts";
import { Controller } from "./controller.ts";
import { OperationFailed, Operations } from "./operations.ts";
import { headline, line, stepLine, tell } from "./told.ts";

const { MAESTRO_KEY: key = "", MAESTRO_APP: app = "", MAESTRO_INCOMING: incoming = "" } = process.env;
const connection = process.env["SSH_CONNECTION"] ?? "";
const nothing = /^0+$/;

try {
  await receive(parseUpdates(await text(process.stdin)));
} catch (error) {
  tellFailure(error);
  process.exitCode = 1;
}

/** "OLD NEW REF", a line each. */
function parseUpdates(input: string): Update[] {
  return input.split("\n").flatMap((words) => {
    const [before = "", after = "", ref = ""] = words.split(" ");
    return ref.startsWith("refs/heads/") ? [{ before, after, branch: ref.slice("refs/heads/".length) }] : [];
  });
}

async function receive(updates: readonly Update[]): Promise<void> {
  const pushed = updates.map(({ branch }) => branch);
  let deployed: Update | null = null;
  for (const update of updates) {
    const isDeletion = nothing.test(update.after);
    const wanted = await deployedBranch(isDeletion ? update.before : update.after, pushed);
    if (update.branch === wanted && isDeletion) {
      throw new Error(`${wanted} is the branch that ${app} is deployed from, and cannot be deleted`);
    }
    if (update.branch === wanted) deployed = update;
    else if (!isDeletion)
      tell(headline(`${update.branch} is kept, and not deployed: ${app} is deployed from ${wanted}`));
  }
  if (deployed) await deploy(deployed);
}

async function deploy(update: Update): Promise<void> {
  tell(headline(`${app}: ${update.branch} at ${update.after.slice(0, 7)}`));
  if (!nothing.test(update.before) && (await isRewritten(update))) {
    tell(line(`the history of ${update.branch} is another than before`));
  }
  const operations = new Operations(await new Controller({ key, connection }).openSession());
  try {
    await operations.call("incoming", { app, sending: true });
    for (const note of await checkOut(update.after, incoming)) tell(line(note));
    const report = await operations.call("restart", { app, commit: update.after, sent: true }, (step) => {
      const said = stepLine(step);
      if (said !== null) tell(said);
    });
    tellDone(report);
  } finally {
    operations.close();
  }
}

function tellDone(report: Record<string, unknown>): void {
  tell(headline(`${app} v${String(report["release"])} serves`));
  for (const url of listOf(report["urls"])) tell(line(url));
  for (const note of listOf(report["notes"])) tell(line(`note: ${note}`));
}

function tellFailure(error: unknown): void {
  const message = error instanceof Error ? error.message : String(error);
  tell(headline(`Refused: ${message}`));
  if (error instanceof OperationFailed)
    for (const last of listOf(error.details["lastLines"])) tell(line(last));
}

function listOf(value: unknown): string[] {
  return Array.isArray(value) ? value.map(String) : [];
}
