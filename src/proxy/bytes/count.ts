import type { Wire } from "../../http/wire.ts";
import type { Exchange } from "./exchange.ts";

/** Counts what an exchange has come to. A tunnel has a connection to the instance that nobody else has used. */
export function countServed({ request, answer, status }: Exchange, tunnel: Wire | null): void {
  const counts = request.place?.route.counts;
  if (!counts) return; // Nobody's: a hostname that is not known.
  const tookMs = (answer.beganAt || performance.now()) - request.beganAt;
  if (tunnel) counts.record(status, tookMs, tunnel.bytesWritten, tunnel.bytesRead);
  else counts.record(status, tookMs, request.bodyCame, answer.bodyBytes);
}
