import { get } from "node:http";
import { connect } from "node:net";
import { backoff } from "../lib/backoff.ts";
import type { Upstream } from "../protocol/worker.ts";
import type { Route } from "./routes.ts";

type Asked = Pick<Route, "settings" | "hostnames">;

const withinMs = 2000;
const pauses = { first: 500, most: 10_000 };

/** Asks an instance that was taken out, again and again, until it is well. */
export class Checks {
  readonly #isOut: (upstream: Upstream) => boolean;
  readonly #putBack: (upstream: Upstream) => void;

  /** `isOut`: whether it is still to be asked. */
  constructor(isOut: (upstream: Upstream) => boolean, putBack: (upstream: Upstream) => void) {
    this.#isOut = isOut;
    this.#putBack = putBack;
  }

  begin(upstream: Upstream, route: Asked): void {
    const waits = backoff(pauses);
    const ask = async (): Promise<void> => {
      if (!this.#isOut(upstream)) return;
      if (await isWell(upstream, route)) this.#putBack(upstream);
      else again();
    };
    const again = () => void setTimeout(() => void ask(), waits.next()).unref();
    again();
  }
}

/** Whether it does what shows that it is well, within 2 s. */
export function isWell(upstream: Upstream, { settings, hostnames }: Asked): Promise<boolean> {
  const host = hostnames[0]?.replace(/\/.*/, "").replace(/^\*\./, "") ?? "";
  const { check } = settings ?? {};
  return check ? answers(upstream, host, check) : accepts(upstream);
}

type Check = { path: string; below: number };

function answers({ host, port }: Upstream, hostname: string, { path, below }: Check): Promise<boolean> {
  const { promise, resolve } = Promise.withResolvers<boolean>();
  const signal = AbortSignal.timeout(withinMs);
  const options = {
    host,
    port,
    path,
    signal,
    agent: false,
    headers: { "user-agent": "maestro-health-check", ...(hostname === "" ? {} : { host: hostname }) },
  };
  get(options, (response) => {
    resolve((response.statusCode ?? 500) < below);
    response.destroy();
  }).on("error", () => resolve(false));
  return promise;
}

function accepts({ host, port }: Upstream): Promise<boolean> {
  const { promise, resolve } = Promise.withResolvers<boolean>();
  const socket = connect({ host, port }, () => resolve(true));
  socket.setTimeout(withinMs, () => socket.destroy());
  socket.on("error", () => {}).on("close", () => resolve(false));
  void promise.then(() => socket.destroy());
  return promise;
}
