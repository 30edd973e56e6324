import { type Refusal, refuse } from "./refusal.ts";
import { checkRsync } from "./rsync-arguments.ts";

/** What a key may be used for: to call operations, to send files of an app by rsync, to push its repository by git. */
export type Request =
  | { purpose: "operations" }
  | { purpose: "send"; app: string; options: readonly string[] }
  | { purpose: "push"; app: string };

/** The command by which `maestro` itself asks for a session. */
const sessionCommand = "maestro session";

/** As in src/app/app.ts, which this program does not load. */
const appName = "[a-z][a-z0-9-]{0,62}";
const push = new RegExp(`^git[- ]receive-pack '/?(${appName})\\.git'$`);

/**
 * What sshd was asked to run (SSH_ORIGINAL_COMMAND, see sshd(8)), as one of the three things that are allowed; all else
 * is a refusal. No shell ever sees the text: a word with anything in it that a shell would act on is not allowed.
 */
export function parseRequest(command: string): Request | Refusal {
  if (command.length > 4096) return refuse("is too long");
  if (command === sessionCommand) return { purpose: "operations" };
  const pushed = push.exec(command)?.[1];
  if (pushed !== undefined) return { purpose: "push", app: pushed };
  if (/^git[- ]upload-(pack|archive)\b/.test(command)) return refuse("would read: this key only sends");
  if (command.startsWith("rsync ")) return checkRsync(command.split(" "));
  return refuse("is neither a deploy of Maestro, nor rsync or git push to an app");
}
