import { domainToASCII } from "node:url";
import { z } from "zod";
import { LimitsChange } from "./limits.ts";
import { Mode } from "./mode.ts";
import { ProxySettings } from "./proxy-settings.ts";

/** An app's name: also a directory name and a DNS label. */
export const AppName = z
  .string()
  .regex(
    /^[a-z][a-z0-9-]{0,62}$/,
    "an app name is 1 to 63 characters of a-z, 0-9 and -, and starts with a letter",
  );

const label = /^(?!-)[a-z0-9_-]{1,63}(?<!-)$/;

/** Lower-cased DNS name without a final dot, IDNA in its ASCII form; null when it is none. `*.` may come first. */
export function normalizeHostname(text: string): string | null {
  const lower = text.trim().toLowerCase().replace(/\.$/, "");
  // domainToASCII reads a URL's host: it would cut a path off, and drop tabs.
  if (/[\s/?#\\@:]/.test(lower)) return null;
  const wildcard = lower.startsWith("*.");
  const name = domainToASCII(wildcard ? lower.slice(2) : lower);
  if (name === "" || name.length > 253 || !name.split(".").every((part) => label.test(part))) return null;
  return wildcard ? `*.${name}` : name;
}

/** A hostname as a user writes it, in; as it is stored and compared, out. */
export const Hostname = z.string().transform((text, context) => {
  const name = normalizeHostname(text);
  if (name !== null) return name;
  context.addIssue({ code: "custom", message: `"${text}" is not a DNS hostname` });
  return z.NEVER;
});

/** The user and group that an app runs as, when Maestro may choose (when it is root). */
export const AppUser = z.object({ uid: z.int().min(1), gid: z.int().min(1) });
export type AppUser = z.infer<typeof AppUser>;

/** How many processes of a type; `auto`: one more than the machine has cores. */
export const Count = z.union([z.int().min(0).max(1000), z.literal("auto")]);
export type Count = z.infer<typeof Count>;

/** What is wanted of an app: one file under state/apps/. What actually runs is never written here. */
export const App = z.object({
  v: z.literal(1),
  name: AppName,
  /** Those of which a path prefix only is its own have that behind them: `example.com/payments`. */
  hostnames: z.array(z.string()),
  /** Those of them whose prefix is taken off the path before the app sees it. */
  stripped: z.array(z.string()).default([]),
  user: AppUser.nullable(),
  /** The number of the release that is wanted; null before the first one that was ready. */
  release: z.int().min(1).nullable(),
  /** The release that served before it: retention keeps it, a rollback goes to it. */
  previousRelease: z.int().min(1).nullable().default(null),
  /** The releases that have served, the latest last: what a rollback can go to, as far as retention keeps them. */
  served: z.array(z.int().min(1)).default([]),
  /** The deploy by which this came to be wanted; null before the first. */
  deploy: z.string().nullable().default(null),
  /** The version of its config that its next release gets, which is the current one's; null: none. */
  config: z.int().min(1).nullable().default(null),
  /** Instances by process type, where they were set by `scale`. */
  scale: z.record(z.string(), Count).default({}),
  /** What of the limits was set by `maestro limits`: it goes above what the release asks for. */
  limits: LimitsChange.default({}),
  /** What its release asks of the proxy. */
  proxy: ProxySettings.default({}),
  stopped: z.boolean().default(false),
  /** Null: requests are answered. */
  mode: Mode.nullable().default(null),
});
export type App = z.infer<typeof App>;

/** The hostnames that lead to an app: those it was given, or `APP.DOMAIN` while it was given none. */
export function hostnamesOf(app: Pick<App, "name" | "hostnames">, domain: string): readonly string[] {
  return app.hostnames.length > 0 ? app.hostnames : [`${app.name}.${domain}`];
}
