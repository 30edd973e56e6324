import { z } from "zod";
import { AppName } from "../app/app.ts";
import { KeyName } from "../app/key.ts";

/*
 * What the gate (src/access/gate, which sshd starts for every use of a key) and the controller say to each other: lines
 * of JSON on <home>/access/door/maestro.sock. The gate states what a key is used for, and then
 *
 * operations: the rest of the connection is a session of DNode;
 * send, push: is answered with a `Permission` or an error; the permission lasts until the gate tells the end, or the
 *   controller does with `{ end }`;
 * refused: is written down and answered with an error.
 */

const common = {
  v: z.literal(1),
  key: KeyName,
  /** SSH_CONNECTION of ssh(1): both addresses and ports. All that comes by one connection is one deploy. */
  connection: z
    .string()
    .max(200)
    .regex(/^[0-9a-fA-F:.%a-z ]*$/),
};

export const Statement = z.discriminatedUnion("purpose", [
  z.object({ ...common, purpose: z.literal("operations") }),
  z.object({ ...common, purpose: z.literal("send"), app: AppName }),
  z.object({ ...common, purpose: z.literal("push"), app: AppName }),
  z.object({
    ...common,
    purpose: z.literal("refused"),
    command: z.string().max(1000),
    why: z.string().max(500),
  }),
]);
export type Statement = z.infer<typeof Statement>;

/** Absolute paths: the app's incoming/, and, for a push, its repository. */
export const Permission = z.object({ incoming: z.string(), repository: z.string() });
export type Permission = z.infer<typeof Permission>;

/** How what was permitted ended. */
export const End = z.object({ exitCode: z.int().nullable(), signal: z.string().nullable() });
export type End = z.infer<typeof End>;
