import { pino } from "pino";

/** A log line is a fixed event name and facts: `log.info({ app, port }, "app.started")`. */
export type Log = {
  debug(facts: object, event: string): void;
  info(facts: object, event: string): void;
  warn(facts: object, event: string): void;
  error(facts: object, event: string): void;
};

/** Newline-delimited JSON on standard output, numeric levels (info = 30), ISO times. */
export function createLog(level: string = "info"): Log {
  return pino({ level, base: null, timestamp: pino.stdTimeFunctions.isoTime });
}

export const silentLog: Log = { debug() {}, info() {}, warn() {}, error() {} };
