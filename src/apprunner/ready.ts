import { type Address, describeExit, type Exit, type ReadyQuestion } from "../app/instance.ts";
import { MaestroError } from "../errors.ts";
import { poll } from "../lib/poll.ts";
import { checkHealth, type Finding } from "./health-check.ts";
import { portsOf } from "./ownership.ts";

const hosts = ["127.0.0.1", "::1"] as const;
/** Looks take CPU from the app that starts; at this factor the last pause is a twentieth of the time that it took. */
const pauses = { first: 3, most: 100, factor: 1.05 };
/** Few apps listen on ::1 alone: it is looked at less often. */
const rarely = 4;

/**
 * Waits until an instance is ready, and answers the address at which it is. Throws `APP_EXITED` as soon as it ends
 * before that, and `APP_NOT_READY` after `timeoutMs`, with what was seen; the reason of `signal` when that aborts.
 */
export async function untilReady(question: ReadyQuestion, signal?: AbortSignal): Promise<Address> {
  const { instance, timeoutMs } = question;
  const ended = new AbortController();
  void instance.exited.then((exit) => ended.abort(appExited(question, exit)));
  const timeout = AbortSignal.timeout(timeoutMs);
  const wait = AbortSignal.any([ended.signal, timeout, ...(signal ? [signal] : [])]);

  let last: Finding = { ready: false, absent: true };
  let looks = 0;
  const look = async () => {
    looks += 1;
    for (const host of looks % rarely === 0 ? hosts : hosts.slice(0, 1)) {
      const address = { host, port: question.port };
      const finding = await checkHealth(question, address, wait);
      if (finding.ready) return address;
      if (finding.absent) continue;
      // What the time-out interrupted tells less than what was seen before it.
      if (!wait.aborted || ("absent" in last && last.absent)) last = finding;
      return null;
    }
    return null;
  };

  try {
    return await poll(look, pauses, { signal: wait });
  } catch (error) {
    throw error === timeout.reason ? appNotReady(question, last) : error;
  }
}

const appOf = ({ instance }: ReadyQuestion) => instance.key.split(".", 1)[0];

function appExited(question: ReadyQuestion, exit: Exit): MaestroError {
  const message = `${appOf(question)} ${describeExit(exit)} before it was ready; its last lines of output say more`;
  return new MaestroError("APP_EXITED", message, { exitCode: exit.code, signal: exit.signal });
}

function appNotReady(question: ReadyQuestion, last: Finding): MaestroError {
  const { port, timeoutMs } = question;
  const listensOn = portsOf(question);
  const details = {
    port,
    listensOn,
    ...("status" in last ? { lastStatus: last.status } : {}),
    ...("error" in last ? { lastError: last.error } : {}),
  };
  const message = `${appOf(question)} was not ready within ${timeoutMs / 1000} s: ${whatWasSeen(question, last, listensOn)}`;
  return new MaestroError("APP_NOT_READY", message, details);
}

function whatWasSeen(
  { port, readiness }: ReadyQuestion,
  last: Finding,
  listensOn: readonly number[],
): string {
  if ("status" in last) {
    const path = readiness.kind === "port" ? "/" : readiness.path;
    return `it answered ${last.status} at ${path}; look into its output for the reason`;
  }
  if ("error" in last) return `port ${port}: ${last.error}`;
  const others = listensOn.filter((other) => other !== port);
  if (others.length > 0)
    return `it listens on ${others.join(", ")}, not on ${port}; let it use process.env.PORT`;
  return `nothing listens on port ${port}; let it listen on process.env.PORT`;
}
