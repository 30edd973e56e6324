import { z } from "zod";

/**
 * How the proxy treats an app, as it is stored: what app.json's `maestro.proxy` asks for. What is not named is as for every
 * app. Times in ms, sizes in bytes; null: not limited.
 */
export const ProxySettings = z.object({
  /** To connect to an instance. */
  connectMs: z.int().min(1).optional(),
  /** From a request, or the last part of its body, to the beginning of its answer. */
  answerMs: z.int().min(1).optional(),
  /** A WebSocket or event stream on which nothing moves. */
  streamIdleMs: z.int().min(1).nullable().optional(),
  /** Of a request. */
  maxBody: z.int().min(0).nullable().optional(),
  /** Requests that one worker has under way; streams are not counted. */
  maxInFlight: z.int().min(1).nullable().optional(),
  /** Visitors stay with the instance that they came to. */
  sticky: z.boolean().optional(),
  /** Between checks of an instance that serves beside others; null: it is not asked. */
  checkMs: z.int().min(1).nullable().optional(),
  /**
   * How an instance shows that it is well: this path, with a status below that. Absent: it accepts. One that was taken out
   * is asked until it does; with `everyMs`, the others are asked so often.
   */
  check: z.object({ path: z.string(), below: z.int(), everyMs: z.int().min(1).optional() }).optional(),
});
export type ProxySettings = z.infer<typeof ProxySettings>;

/** For every app that asks for nothing else. The answer's time is a setting of `serve`. */
export const usualBounds = {
  connectMs: 5000,
  streamIdleMs: 3_600_000,
  maxBody: 1024 ** 3,
  maxInFlight: 4000,
} as const;

/** Between checks, where an app says itself how it is. */
export const usualCheckMs = 10_000;

const units = { ms: 1, s: 1000, m: 60_000, h: 3_600_000 } as const;
const longestMs = 24 * 3_600_000;

function timeOf(text: string): number | null {
  const [, amount, unit] = /^(\d{1,8})(ms|s|m|h)$/.exec(text.trim()) ?? [];
  const ms = Number(amount) * units[(unit ?? "s") as keyof typeof units];
  return ms >= 1 && ms <= longestMs ? ms : null;
}

function sizeOf(text: string): number | null {
  const [, amount, unit] = /^(\d{1,12})([KMGT]?)(?:i?B)?$/i.exec(text.trim()) ?? [];
  const bytes = Number(amount) * 1024 ** " KMGT".indexOf((unit || " ").toUpperCase());
  return Number.isSafeInteger(bytes) ? bytes : null;
}

function written(read: (text: string) => number | null, allowed: string) {
  return z.string().transform((text, context) => {
    const value = read(text);
    if (value !== null) return value;
    context.addIssue({ code: "custom", message: `"${text}" is not ${allowed}` });
    return z.NEVER;
  });
}

const Time = written(timeOf, 'a time from 1ms to 24h, such as "60s" or "5m"');
const Size = written(sizeOf, 'a size such as "100M" or "2G"');

/** `"none"` lifts a limit. */
const orNone = <T extends z.ZodType>(limit: T) =>
  z.preprocess((value) => (value === "none" ? null : value), limit.nullable());

const Written = z.strictObject({
  connectTimeout: Time.optional(),
  answerTimeout: Time.optional(),
  streamIdleTimeout: orNone(Time).optional(),
  maxBody: orNone(Size).optional(),
  maxInFlight: orNone(z.int().min(1)).optional(),
  sticky: z.boolean().optional(),
  checkInterval: orNone(Time).optional(),
});

/** As people write it in app.json. */
export const ProxyInput = Written.transform(
  ({ connectTimeout, answerTimeout, streamIdleTimeout, checkInterval, ...rest }) =>
    ProxySettings.parse({
      connectMs: connectTimeout,
      answerMs: answerTimeout,
      streamIdleMs: streamIdleTimeout,
      checkMs: checkInterval,
      ...rest,
    }),
);
