import { z } from "zod";
import { AppName } from "./app.ts";

/** What people call a key: also a file's name, and a word of a command line. */
export const KeyName = z
  .string()
  .regex(
    /^[A-Za-z0-9][A-Za-z0-9._@-]{0,62}$/,
    "a key's name is 1 to 63 characters of A-Z, a-z, 0-9, `.`, `_`, `@` and `-`, and starts with a letter or digit",
  );

/** A public key by which somebody may deploy: one file under state/keys/. */
export const DeployKey = z.object({
  v: z.literal(1),
  name: KeyName,
  /** As in authorized_keys: "ssh-ed25519". */
  type: z.string(),
  /** The key itself in base64, without padding left out or added: as sshd compares it. */
  blob: z.string(),
  /** "SHA256:…", as ssh-keygen -l shows it. */
  fingerprint: z.string(),
  apps: z.array(AppName).min(1),
  /** ISO 8601. */
  addedAt: z.string(),
});
export type DeployKey = z.infer<typeof DeployKey>;

/** What `keys` tells of one. */
export const KeyReport = DeployKey.omit({ v: true, name: true, blob: true }).extend({ key: z.string() });
export type KeyReport = z.infer<typeof KeyReport>;

/** A key that was added: who logs in with it, and in which file it was written. */
export const KeyAdded = KeyReport.extend({
  user: z.string(),
  file: z.string(),
  /** The key was there, and its apps are others now. */
  changed: z.boolean(),
  notes: z.array(z.string()),
});
export type KeyAdded = z.infer<typeof KeyAdded>;

/** Who did what, a line of JSON each under state/audit/. */
export const AuditEntry = z.object({
  v: z.literal(1),
  /** ISO 8601, when it had ended. */
  at: z.string(),
  /** "key alice", how an administrator came in, or "maestro" for what happened by itself. */
  by: z.string(),
  /** The address it came from by SSH. */
  from: z.string().optional(),
  /** The operation, or `send`, `push`, `session`, `command`; `fail-over` and `come-back` of a database. */
  did: z.string(),
  app: z.string().optional(),
  outcome: z.enum(["done", "failed", "refused"]),
  /** Why it failed or was refused, or happened by itself. */
  why: z.string().optional(),
  /** The command that was refused. */
  command: z.string().optional(),
  tookMs: z.int().optional(),
});
export type AuditEntry = z.infer<typeof AuditEntry>;
