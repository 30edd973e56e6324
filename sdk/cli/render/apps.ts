import { describeExit } from "../../../src/app/instance.ts";
import { formatBytes } from "../../../src/app/limits.ts";
import type { AppReport, InstanceReport } from "../../../src/app/reports.ts";
import { harmless, paint, type Screen, type Tone } from "./screen.ts";
import { type Cell, table } from "./table.ts";
import { ago } from "./time.ts";

const appTones: Record<AppReport["state"], Tone> = {
  serving: "good",
  starting: "warn",
  failing: "bad",
  stopped: "dim",
  empty: "dim",
  broken: "bad",
};

/** The apps that are registered, and below what is wrong with some. */
export function renderApps(apps: readonly AppReport[], screen: Screen): string {
  if (apps.length === 0) return "No apps yet. Deploy one: maestro deploy DIR\n";
  const rows = apps.map(({ app, state, mode, release, instances, urls, hostnames }) => [
    app,
    withMode({ text: state, tone: appTones[state] }, mode?.kind),
    release === null ? "-" : `v${release}`,
    String(instances),
    (urls.length > 0 ? urls : hostnames).join(" "),
  ]);
  const problems = apps.map((app) => renderProblem(app, screen)).join("");
  const deaths = apps.map((app) => renderDeath(app, screen)).join("");
  return table(screen, ["APP", "STATE", "RELEASE", "INSTANCES", "ADDRESS"], rows) + problems + deaths;
}

/** What an app that serves again has lived through; one that fails tells it in its problem. */
function renderDeath({ app, state, lastDeath }: AppReport, screen: Screen): string {
  if (lastDeath === undefined || state !== "serving") return "";
  const { instance, release, at, exitCode: code, signal, memory } = lastDeath;
  const exit = describeExit({
    code,
    signal: signal as NodeJS.Signals | null,
    ...(memory ? { memory } : {}),
  });
  const when = at === null ? "" : ` ${ago(at, screen.now)}`;
  const sentence = `${app}: ${instance} of v${release} ${exit}${when}, and was started again`;
  return `${paint(screen, "dim", harmless(sentence))}\n`;
}

function renderProblem({ app, state, problem, lastWords }: AppReport, screen: Screen): string {
  if (problem === undefined) return "";
  return `\n${paint(screen, "bad", `${harmless(app)} is ${state}`)}: ${harmless(problem)}\n${quote(lastWords ?? [], screen)}`;
}

/** Lines of an app's output, set off from what Maestro itself says. */
export function quote(lines: readonly string[], screen: Screen): string {
  return lines.map((line) => `  ${paint(screen, "dim", "│")} ${harmless(line)}\n`).join("");
}

const instanceTones: Record<InstanceReport["state"], Tone> = {
  starting: "warn",
  serving: "good",
  draining: "warn",
  frozen: "dim",
  stopping: "warn",
  stopped: "dim",
  running: "good",
};

/** The instances that run, those included that only finish what they had begun. */
export function renderInstances(instances: readonly InstanceReport[], screen: Screen): string {
  if (instances.length === 0) return "Nothing runs.\n";
  const rows = instances.map((instance) => [
    instance.app,
    instance.instance,
    `v${instance.release}`,
    withMode(stateOf(instance), instance.mode),
    String(instance.pid),
    instance.port === null ? "-" : String(instance.port),
    ago(instance.startedAt, screen.now),
    inFlight(instance.inFlight),
    usedMemory(instance.memory),
    instance.isolation,
    instance.user,
  ]);
  const heading = [
    ...["APP", "INSTANCE", "RELEASE", "STATE", "PID", "PORT", "STARTED", "UNDER WAY"],
    ...["MEMORY", "ISOLATION", "USER"],
  ];
  return table(screen, heading, rows);
}

function stateOf({ state, outAt = 0 }: InstanceReport): { text: string; tone: Tone } {
  if (outAt === 0) return { text: state, tone: instanceTones[state] };
  return { text: `${state}, taken out`, tone: "bad" };
}

/** New requests do not get there: that matters more than that it could answer them. */
function withMode(state: { text: string; tone: Tone }, mode: InstanceReport["mode"]): Cell {
  return mode === undefined ? state : { text: `${state.text}, ${mode}`, tone: "warn" };
}

function usedMemory({ now, limit }: InstanceReport["memory"]): string {
  const used = now === null ? "-" : formatBytes(now);
  return limit === null ? used : `${used} of ${formatBytes(limit)}`;
}

function inFlight({ requests, streams }: InstanceReport["inFlight"]): string {
  const parts = [counted(requests, "request"), counted(streams, "stream")].filter((part) => part !== "");
  return parts.length === 0 ? "-" : parts.join(", ");
}

const counted = (count: number, noun: string) =>
  count === 0 ? "" : `${count} ${noun}${count === 1 ? "" : "s"}`;
