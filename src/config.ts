import { readFileSync } from "node:fs";
import { homedir } from "node:os";
import { join, resolve } from "node:path";
import { z } from "zod";
import { normalizeHostname } from "./app/app.ts";
import { IsolationLevel } from "./app/isolation.ts";
import { LimitsInput } from "./app/limits.ts";
import { isSystemError, MaestroError } from "./errors.ts";

/** Where something listens. `host` absent: all addresses. Port 0: a free one. */
export const ListenAddress = z.object({
  host: z.string().optional(),
  port: z.int().min(0).max(65535),
  /** Only those connect who introduce their clients in the PROXY protocol. */
  proxyProtocol: z.literal(true).optional(),
});
export type ListenAddress = z.infer<typeof ListenAddress>;

/** "host:port", ":port", "port" or "[v6]:port". Null when it is none of these. */
export function parseAddress(text: string): ListenAddress | null {
  const match = /^(?:(?:\[([0-9a-fA-F:.]+)\]|([^:[\]\s]*)):)?(\d{1,5})$/.exec(text.trim());
  const port = Number(match?.[3]);
  if (match === null || port > 65535) return null;
  const host = match[1] ?? match[2];
  return host === undefined || host === "" ? { port } : { host, port };
}

const address = z.string().transform((text, context) => {
  const parsed = parseAddress(text);
  if (parsed !== null) return parsed;
  context.addIssue({ code: "custom", message: `"${text}" is not an address; write host:port or :port` });
  return z.NEVER;
});

const proxyMark = /;proxy-protocol$/;

/** An address of the proxy: one that a balancer connects to is marked. */
const httpAddress = z.string().transform((text, context): ListenAddress => {
  const parsed = parseAddress(text.replace(proxyMark, ""));
  if (parsed !== null) return proxyMark.test(text) ? { ...parsed, proxyProtocol: true } : parsed;
  const message = `"${text}" is not an address; write host:port or :port, and ;proxy-protocol behind it if need be`;
  context.addIssue({ code: "custom", message });
  return z.NEVER;
});

const domain = z.string().transform((text, context) => {
  const name = normalizeHostname(text);
  if (name !== null && !name.startsWith("*.")) return name;
  context.addIssue({ code: "custom", message: `"${text}" is not a DNS name` });
  return z.NEVER;
});

const list = (value: unknown) => (typeof value === "string" ? value.split(",") : value);
const number = (value: unknown) => (typeof value === "string" && /^\d+$/.test(value) ? Number(value) : value);
const flag = (value: unknown) =>
  value === "true" || value === "1" ? true : value === "false" ? false : value;
const seconds = z.preprocess(number, z.int().min(0).max(3600));

/** The settings of `serve`: each a flag, a `MAESTRO_…` variable, or a key of <home>/maestro.json. Times in s. */
const Settings = z.strictObject({
  home: z.string().min(1),
  http: z.preprocess(list, z.array(httpAddress).min(1)).default([{ port: 8000 }]),
  domain: domain.default("localhost"),
  rpc: address.default({ host: "127.0.0.1", port: 7272 }),
  rpcToken: z.string().min(16, "a token has at least 16 characters").optional(),
  workers: z.preprocess(number, z.int().min(1).max(256)).optional(),
  isolation: IsolationLevel.optional(),
  hold: seconds.default(10),
  answerTimeout: seconds.default(60),
  requestDrain: seconds.default(30),
  streamDrain: seconds.default(10),
  stopGrace: seconds.default(30),
  warm: seconds.default(600),
  warmInstances: z.preprocess(number, z.int().min(0).max(1000)).default(10),
  readyTimeout: seconds.default(30),
  releaseTimeout: seconds.default(600),
  buildTimeout: seconds.default(900),
  buildMemory: LimitsInput.shape.memory,
  buildCpu: LimitsInput.shape.cpu,
  keepReleases: z.preprocess(number, z.int().min(1).max(1000)).default(5),
  keepReleaseDays: z.preprocess(number, z.int().min(1).max(36_500)).default(90),
  maxConnections: z.preprocess(number, z.int().min(1).max(1_000_000)).default(16_000),
  trustedProxies: z.preprocess(list, z.array(z.string())).default([]),
  accessLog: z.preprocess(flag, z.boolean()).default(false),
  /** MB. */
  logSize: z.preprocess(number, z.int().min(1).max(10_000)).default(10),
  logFiles: z.preprocess(number, z.int().min(2).max(1000)).default(5),
  sshUser: z
    .string()
    .regex(/^[a-z_][a-z0-9_-]{0,31}$/, "not the name of a user")
    .optional(),
  authorizedKeys: z.string().startsWith("/", "it has to be an absolute path").optional(),
  couch: z
    .string()
    .regex(/^(embedded|none|https?:\/\/.+)$/, 'write "embedded", "none" or the URL of a CouchDB')
    .default("embedded"),
  stopApps: z.preprocess(flag, z.boolean()).default(false),
  logLevel: z.enum(["debug", "info", "warn", "error"]).default("info"),
});
export type Config = Readonly<z.infer<typeof Settings>>;
export type SettingName = keyof typeof Settings.shape;
export const settingNames = Object.keys(Settings.shape) as SettingName[];

/** Where everything is kept unless a flag says otherwise. */
export function defaultHome(): string {
  const { MAESTRO_HOME: home } = process.env;
  if (home !== undefined && home !== "") return home;
  return process.getuid?.() === 0 ? "/var/lib/maestro" : join(homedir(), ".maestro");
}

/** `rpcToken` → `MAESTRO_RPC_TOKEN` */
const variableOf = (name: string) => `MAESTRO_${name.replace(/[A-Z]/g, "_$&").toUpperCase()}`;

/**
 * Flags over environment over <home>/maestro.json over defaults, validated once.
 * Throws `BAD_INPUT` that names each wrong setting.
 */
export function loadConfig(flags: Record<string, unknown>, env: NodeJS.ProcessEnv): Config {
  const fromEnv: Record<string, unknown> = {};
  for (const name of settingNames) {
    const value = env[variableOf(name)];
    if (value !== undefined && value !== "") fromEnv[name] = value;
  }
  const given = { ...fromEnv, ...flags };
  const home = resolve(typeof given["home"] === "string" ? given["home"] : defaultHome());
  const parsed = Settings.safeParse({ ...readSettingsFile(join(home, "maestro.json")), ...given, home });
  if (!parsed.success) {
    throw new MaestroError("BAD_INPUT", `the settings are wrong: ${z.prettifyError(parsed.error)}`);
  }
  refuseOpenRpc(parsed.data);
  return Object.freeze(parsed.data);
}

function readSettingsFile(path: string): Record<string, unknown> {
  let text: string;
  try {
    text = readFileSync(path, "utf8");
  } catch (error) {
    if (isSystemError(error, "ENOENT", "ENOTDIR")) return {};
    throw error;
  }
  try {
    return z.record(z.string(), z.unknown()).parse(JSON.parse(text));
  } catch (error) {
    throw new MaestroError(
      "BAD_INPUT",
      `${path} is not a JSON object; mend it or remove it`,
      { path },
      { cause: error },
    );
  }
}

/** Whoever reaches the RPC port can run programs here: off this machine only with a token. */
function refuseOpenRpc({ rpc, rpcToken }: Config): void {
  const loopback = rpc.host !== undefined && /^(127\.\d+\.\d+\.\d+|::1|localhost)$/.test(rpc.host);
  if (loopback || rpcToken !== undefined) return;
  throw new MaestroError(
    "BAD_INPUT",
    "the RPC address is not a loopback one, so whoever reaches it could deploy; set --rpc-token or use 127.0.0.1",
    { rpc },
  );
}
