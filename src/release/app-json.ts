import { z } from "zod";
import { type LimitsChange, LimitsInput } from "../app/limits.ts";
import { Mount, prefixOfMount } from "../app/mount.ts";
import { ProxyInput } from "../app/proxy-settings.ts";
import type { ReleasePlan } from "../app/release.ts";
import { readJsonFile } from "./source-file.ts";
import { StaticDirectory } from "./static-directory.ts";

const mostBytes = 256 * 1024;

const EnvName = z.string().regex(/^[A-Za-z_][A-Za-z0-9_]*$/, "not the name of an environment variable");
const EnvValue = z
  .union([z.string(), z.number(), z.boolean()])
  .transform(String)
  .refine((value) => !value.includes("\0"), "a NUL character cannot be in an environment variable");
const EnvEntry = z.union([
  EnvValue.transform((value) => ({ value, required: true, generator: undefined })),
  z.object({
    value: EnvValue.optional(),
    required: z.boolean().default(true),
    generator: z.string().optional(),
  }),
]);

const Quantity = z.int().min(0).max(1000);
const Formation = z.union([
  Quantity.transform((quantity) => ({ quantity })),
  z.object({ quantity: Quantity.optional() }),
]);

const HealthCheck = z.object({
  type: z.string().default("startup"),
  path: z.string().startsWith("/").optional(),
});

/** A hostname, with or without a path prefix, and what becomes of that prefix. */
const MountEntry = z.preprocess(
  (entry) => (typeof entry === "string" ? { mount: entry } : entry),
  z
    .object({ mount: Mount, stripPrefix: z.boolean().default(false) })
    .refine(({ mount, stripPrefix }) => !stripPrefix || prefixOfMount(mount) !== "", {
      error: "there is no path prefix that could be stripped",
    }),
);

/**
 * app.json as Heroku and Dokku know it (https://devcenter.heroku.com/articles/app-json-schema,
 * https://dokku.com/docs/deployment/zero-downtime-deploys/), and Maestro's own part. Unknown fields are ignored.
 */
const AppJson = z.object({
  env: z.record(EnvName, EnvEntry).default({}),
  formation: z.record(z.string(), Formation).default({}),
  healthchecks: z.record(z.string(), z.array(HealthCheck)).default({}),
  cron: z.array(z.unknown()).default([]),
  maestro: z
    .object({
      hostnames: z.array(MountEntry).default([]),
      limits: LimitsInput.default({}),
      proxy: ProxyInput.optional(),
      storage: z.boolean().default(false),
      warm: z.boolean().optional(),
      static: StaticDirectory.optional(),
      build: LimitsInput.default({}),
    })
    .optional(),
});
type AppJson = z.infer<typeof AppJson>;

/** What app.json adds to the plan of a release. `healthPath`: null when it declares no health check of the web. */
export type Declared = Pick<
  ReleasePlan,
  "env" | "formation" | "hostnames" | "stripped" | "storage" | "limits" | "proxy" | "notes" | "warm"
> & {
  healthPath: string | null;
  /** The directory with the static files that it serves; null when it names none. */
  static: string | null;
  /** What a build of it may use. */
  build: LimitsChange;
};

const nothing: Declared = {
  env: {},
  formation: {},
  hostnames: [],
  storage: false,
  limits: {},
  notes: [],
  healthPath: null,
  static: null,
  build: {},
};

/** Throws `BAD_INPUT` for an app.json that does not parse. Without one, nothing is declared. */
export async function readAppJson(directory: string): Promise<Declared> {
  const declared = await readJsonFile(directory, "app.json", { schema: AppJson, mostBytes });
  if (declared === null) return nothing;
  return {
    env: valuesOf(declared.env),
    formation: quantitiesOf(declared.formation),
    ...mountsOf(declared.maestro?.hostnames ?? []),
    ...(declared.maestro?.warm === false ? { warm: false } : {}),
    storage: declared.maestro?.storage ?? false,
    limits: declared.maestro?.limits ?? {},
    ...(declared.maestro?.proxy ? { proxy: declared.maestro.proxy } : {}),
    notes: notesOn(declared),
    healthPath: declared.healthchecks["web"]?.find(decidesReadiness)?.path ?? null,
    static: declared.maestro?.static ?? null,
    build: declared.maestro?.build ?? {},
  };
}

function mountsOf(entries: z.infer<typeof MountEntry>[]): Pick<Declared, "hostnames" | "stripped"> {
  const stripped = entries.filter(({ stripPrefix }) => stripPrefix).map(({ mount }) => mount);
  return {
    hostnames: [...new Set(entries.map(({ mount }) => mount))],
    ...(stripped.length > 0 ? { stripped: [...new Set(stripped)] } : {}),
  };
}

const decidesReadiness = ({ type, path }: z.infer<typeof HealthCheck>) =>
  path !== undefined && (type === "startup" || type === "readiness");

function valuesOf(env: AppJson["env"]): Record<string, string> {
  const values = Object.entries(env).flatMap(([name, { value }]) =>
    value === undefined ? [] : [[name, value]],
  );
  return Object.fromEntries(values);
}

function quantitiesOf(formation: AppJson["formation"]): Record<string, number> {
  const quantities = Object.entries(formation).flatMap(([type, { quantity }]) =>
    quantity === undefined ? [] : [[type, quantity]],
  );
  return Object.fromEntries(quantities);
}

function notesOn({ env, healthchecks, cron }: AppJson): string[] {
  const notes = Object.entries(env).flatMap(([name, { value, required, generator }]) => {
    if (value !== undefined) return [];
    if (generator !== undefined)
      return [`app.json asks to generate ${name}, which is not done; set it with config`];
    return required ? [`app.json requires ${name}, which has no value; set it with config`] : [];
  });
  const others = Object.entries(healthchecks).flatMap(([type, checks]) =>
    checks
      .filter((check) => type !== "web" || !decidesReadiness(check))
      .map((check) => `${type} ${check.type}`),
  );
  if (others.length > 0) notes.push(`app.json's other health checks are not run: ${others.join(", ")}`);
  if (cron.length > 0) notes.push("app.json's cron is not run yet");
  return notes;
}
