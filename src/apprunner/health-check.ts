import { request } from "node:http";
import { connect, type Socket } from "node:net";
import type { Address, ReadyQuestion } from "../app/instance.ts";
import { isSystemError } from "../errors.ts";
import { ownsListener } from "./ownership.ts";

/** What one look at an address found. `absent`: nobody listens there. */
export type Finding =
  | { ready: true }
  | { ready: false; absent: true }
  | { ready: false; absent: false; status: number }
  | { ready: false; absent: false; error: string };

/** How long one attempt may take, in ms; the app may be compiling its first page. */
const attemptLimitMs = 10_000;

/**
 * Looks once whether an instance is ready at an address, on a connection of its own. A stranger who listens there
 * sees a connection that says nothing.
 */
export async function checkHealth(
  question: ReadyQuestion,
  address: Address,
  wait: AbortSignal,
): Promise<Finding> {
  const signal = AbortSignal.any([wait, AbortSignal.timeout(attemptLimitMs)]);
  const socket = connect(address);
  let accepted = false;
  try {
    await connected(socket, signal);
    accepted = true;
    if (!ownsListener(question, address)) return failed("another program listens there");
    if (question.readiness.kind === "port") return { ready: true };
    return judge(
      question.readiness.kind,
      await askForStatus(question, question.readiness.path, socket, signal),
    );
  } catch (error) {
    if (isSystemError(error, "ECONNREFUSED", "EADDRNOTAVAIL", "EAFNOSUPPORT", "ENETUNREACH")) {
      return { ready: false, absent: true };
    }
    // Given up before anybody was there: that nobody answered is not to be said of a program that did not listen.
    if (signal.aborted && !accepted) return { ready: false, absent: true };
    return failed(signal.aborted ? "it accepted a connection and did not answer" : (error as Error).message);
  } finally {
    socket.destroy();
  }
}

const failed = (error: string): Finding => ({ ready: false, absent: false, error });

function judge(kind: "health" | "http", status: number): Finding {
  const good = kind === "health" ? status >= 200 && status < 400 : status < 500;
  return good ? { ready: true } : { ready: false, absent: false, status };
}

function connected(socket: Socket, signal: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    const giveUp = () => socket.destroy(signal.reason);
    signal.addEventListener("abort", giveUp, { once: true });
    socket.once("connect", resolve);
    socket.on("error", reject); // stays: a later error of a socket that we have done with is no news
    socket.once("close", () => signal.removeEventListener("abort", giveUp));
  });
}

function askForStatus(
  { hostname }: ReadyQuestion,
  path: string,
  socket: Socket,
  signal: AbortSignal,
): Promise<number> {
  const headers = { Host: hostname, "User-Agent": "maestro-health-check", Connection: "close" };
  return new Promise((resolve, reject) => {
    const asked = request({ createConnection: () => socket, path, headers, signal });
    asked.once("response", (response) => {
      resolve(response.statusCode ?? 0);
      response.destroy();
    });
    asked.on("error", reject);
    asked.end();
  });
}
