import { randomInt } from "node:crypto";
import getPort from "get-port";

/** Below those that the kernel gives to outgoing connections (ip(7), ip_local_port_range), above those of services. */
const range = { from: 10_000, to: 19_999 };

/** A port of 127.0.0.1 that nobody has. None that is free now is taken by an outgoing connection a moment later. */
export async function freePort(): Promise<number> {
  const tried = Array.from({ length: 100 }, () => randomInt(range.from, range.to + 1));
  return getPort({ host: "127.0.0.1", port: tried });
}
