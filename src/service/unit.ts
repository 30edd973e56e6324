import { isIP } from "node:net";
import { join } from "node:path";
import type { Config } from "../config.ts";
import { MaestroError } from "../errors.ts";
import { endedForGood } from "./exit-status.ts";
import { escapeSpecifiers, quoteArgument, quoteWord } from "./quote.ts";

/** `system`: systemd of the machine, as root. `user`: the one of a person, systemd(1) --user. */
export type Scope = "system" | "user";

export const serviceName = "maestro.service";
export const socketName = "maestro.socket";

export type UnitPlan = {
  scope: Scope;
  /** The absolute path of bin/maestro. */
  launcher: string;
  config: Config;
  /** The settings that were given as options, by name. */
  flags: Record<string, unknown>;
  /** Variables for `serve`, also secret ones, which do not belong into a unit. */
  environmentFile: string;
};

/** maestro.service: see systemd.service(5), systemd.kill(5), systemd.exec(5). */
export function renderService({ scope, launcher, config, flags, environmentFile }: UnitPlan): string {
  const program = quoteWord(launcher);
  const systemctl = scope === "system" ? "systemctl" : "systemctl --user";
  const online = scope === "system" ? ["Wants=network-online.target", "After=network-online.target"] : [];
  return unit({
    Unit: [
      "Description=Maestro, proxy and application controller",
      ...online,
      "# Not Requires=: workers that outlived an earlier start hold the addresses themselves, and are taken over.",
      `Wants=${socketName}`,
      `RequiresMountsFor=${quoteWord(config.home)}`,
      "# It never gives up.",
      "StartLimitIntervalSec=0",
    ],
    Service: [
      "Type=notify",
      ...notifyAccess[scope],
      `ExecStart=${[program, ...serveWords(config, flags).map(quoteArgument)].join(" ")}`,
      `ExecReload=${program} --server ${quoteArgument(join(config.home, "run", "maestro.sock"))} reload`,
      "# The controller alone: proxy workers and apps go on, and the next controller takes them over.",
      "KillMode=process",
      "KillSignal=SIGTERM",
      "Restart=always",
      "RestartSec=1",
      `# ${endedForGood}: \`maestro stop\` has ended everything. Then neither a restart nor a connection starts it again.`,
      `SuccessExitStatus=${endedForGood}`,
      `RestartPreventExitStatus=${endedForGood}`,
      `ExecStopPost=-/bin/sh -c 'test "$$EXIT_STATUS" != ${endedForGood} || ${systemctl} --no-block stop ${socketName}'`,
      "TimeoutStartSec=90",
      `TimeoutStopSec=${config.requestDrain + config.stopGrace + 15}`,
      `EnvironmentFile=-${escapeSpecifiers(environmentFile)}`,
      "LimitNOFILE=1048576",
      "TasksMax=infinity",
      "# An app that uses up its memory must not take the others with it.",
      "OOMPolicy=continue",
      "Delegate=yes",
      "SyslogIdentifier=maestro",
    ],
    Install: [
      `WantedBy=${scope === "system" ? "multi-user.target" : "default.target"}`,
      `Also=${socketName}`,
    ],
  });
}

/**
 * Who may tell systemd how the service is. systemd-notify speaks in the name of the main process where it is root.
 * Elsewhere it cannot, and apps are processes of the same user anyway; as root, an app must not speak for Maestro.
 */
const notifyAccess = {
  system: ["NotifyAccess=main"],
  user: ["# systemd-notify is a process of its own.", "NotifyAccess=all"],
} as const satisfies Record<Scope, readonly string[]>;

/** maestro.socket: holds the addresses while nothing of Maestro runs. See systemd.socket(5). */
export function renderSocket({ config }: UnitPlan): string {
  return unit({
    Unit: ["Description=Maestro, where its proxy listens"],
    Socket: [
      ...config.http.map((address) => `ListenStream=${listenStream(address)}`),
      "BindIPv6Only=both",
      "FreeBind=yes",
      "Backlog=4096",
      "# However often it starts: the addresses stay held.",
      "TriggerLimitIntervalSec=0",
    ],
    Install: ["WantedBy=sockets.target"],
  });
}

/** Throws `BAD_INPUT` for an address that systemd cannot hold: a name, or a port that is another at each start. */
function listenStream({ host, port }: Config["http"][number]): string {
  const shown = `${host ?? ""}:${port}`;
  if (port === 0) {
    throw new MaestroError(
      "BAD_INPUT",
      `--http ${shown}: port 0 is another one at each start; a service needs one that stays, for example --http :80`,
      { http: shown },
    );
  }
  if (host === undefined) return String(port);
  const family = isIP(host);
  if (family === 0) {
    throw new MaestroError(
      "BAD_INPUT",
      `--http ${shown}: systemd listens on IP addresses, not on names; write for example 127.0.0.1:${port}`,
      { http: shown },
    );
  }
  return family === 6 ? `[${host}]:${port}` : `${host}:${port}`;
}

/** The command line of `serve`, with the home spelled out: a default may differ, a relative path would. */
function serveWords({ home }: Config, flags: Record<string, unknown>): string[] {
  const given = Object.entries(flags).filter(([name]) => name !== "home");
  return ["serve", "--home", home, ...given.flatMap(([name, value]) => optionWords(name, value))];
}

function optionWords(name: string, value: unknown): string[] {
  const flag = `--${name.replace(/[A-Z]/g, "-$&").toLowerCase()}`;
  if (value === true) return [flag];
  const values: unknown[] = Array.isArray(value) ? value : [value];
  return values.flatMap((one) => [flag, String(one)]);
}

function unit(sections: Record<string, readonly string[]>): string {
  const texts = Object.entries(sections).map(([name, lines]) => `[${name}]\n${lines.join("\n")}\n`);
  return `# Written by \`maestro install\`, which replaces it. Changes of your own: systemctl edit.\n${texts.join("\n")}`;
}
