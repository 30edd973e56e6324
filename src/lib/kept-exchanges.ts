import { z } from "zod";

/** What a kept process answers on its socket. One that tells its version and settings may be taken over. */
export const keptExchanges = {
  status: {
    ask: z.object({}),
    answer: z.looseObject({
      v: z.literal(1),
      pid: z.int(),
      version: z.string().optional(),
      settings: z.unknown().optional(),
      /** Where it listens: host:port, or the path of a unix socket. */
      address: z.string().optional(),
    }),
  },
  /** Finish what is under way, then exit. Answered at once. */
  leave: { ask: z.object({}), answer: z.object({}) },
} as const;

/** Open in a process that is starting: who started it reads its end when it answers, or has ended. */
export const keptReadyDescriptor = 3;
