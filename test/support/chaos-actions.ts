import { join } from "node:path";
import { z } from "zod";
import type { InstanceReport } from "../../src/app/reports.ts";
import { MaestroError } from "../../src/errors.ts";
import type { Chaos, ChaosApp } from "./chaos.ts";
import { clientsOf, freeze, killGroup } from "./chaos-processes.ts";
import { type Excuse, insideInstance, insideWorker } from "./chaos-verdict.ts";

/** Something that happens to Maestro under load. Answers which requests it may cost, when it may cost any. */
export type Action = (chaos: Chaos) => Promise<Excuse | undefined>;

/** Whatever is not killed here fails no request, and that includes the controller. */
export const actions: Record<string, Action> = {
  "an app is deployed": async (chaos) => {
    await deploy(chaos, chaos.random.pick(chaos.apps));
    return undefined;
  },

  "the same code is deployed": async ({ maestro, random, apps }) => {
    await (await maestro.client()).call("restart", { app: random.pick(apps).name });
    return undefined;
  },

  "all apps are deployed at once": async (chaos) => {
    await Promise.all(chaos.apps.map((app) => deploy(chaos, app)));
    return undefined;
  },

  "a deploy fails": async ({ maestro, random, apps }) => {
    const app = random.pick(apps);
    const error = await maestro.change(app.name, { "version.js": "process.exit(3);\n" }).catch(codeOf);
    if (error !== "APP_EXITED") throw new Error(`the deploy of an app that exits was answered by ${error}`);
    await maestro.write(app.name, versionFile(app));
    return undefined;
  },

  "a worker is killed": killWorker,
  "a worker is killed in a deploy": (chaos) => inDeploy(chaos, () => killWorker(chaos)),

  "an only instance is killed": (chaos) => killServing(chaos, 1),
  "one of two instances is killed": (chaos) => killServing(chaos, 2),
  "an instance is killed in a deploy": (chaos) =>
    inDeploy(chaos, async (app) => killInstance(chaos, app, await unfrozenOf(chaos, app))),

  "the controller is killed": restartController("SIGKILL"),
  "the controller is ended": restartController("SIGTERM"),
  "the controller is killed in a deploy": (chaos) =>
    inDeploy(chaos, () => restartController("SIGKILL")(chaos)),
  "Maestro is reloaded": reload,
  "Maestro is reloaded in a deploy": (chaos) => inDeploy(chaos, () => reload(chaos)),
  "the log keeper is killed": async ({ maestro }) => {
    const { pid } = z.object({ pid: z.int() }).parse(await maestro.last("log-keeper.started"));
    const since = maestro.logLength;
    process.kill(pid, "SIGKILL");
    await maestro.until("log-keeper.started", () => true, since);
    return undefined;
  },
  "a worker and the controller are killed": async (chaos) => {
    const excuse = await killWorker(chaos);
    await restartController("SIGKILL")(chaos);
    return excuse;
  },
};

export const actionNames = Object.keys(actions);

/** What an app is at a moment: the fixture's answers say it. */
export const versionOf = ({ serial }: { serial: number }) => `v${serial}`;
export const versionFile = (app: { serial: number }) => ({
  "version.js": `export const version = "${versionOf(app)}";\n`,
});

type OnProgress = (progress: { step: string; state: string }) => void;

async function deploy({ maestro }: Chaos, app: ChaosApp, onProgress: OnProgress = () => {}): Promise<void> {
  app.serial += 1;
  await maestro.write(app.name, versionFile(app));
  const confirm = app.deploys.begin(versionOf(app));
  await (await maestro.client()).call("restart", { app: app.name }, { onProgress });
  confirm();
  app.deaths = 0;
}

/** Acts at some moment of a deploy, or right after it. Whether the deploy then still comes to its end is open. */
async function inDeploy(
  chaos: Chaos,
  act: (app: ChaosApp) => Promise<Excuse | undefined>,
): Promise<Excuse | undefined> {
  const app = chaos.random.pick(chaos.apps);
  const step = chaos.random.pick(["release", "start", "ready", "switch"]);
  const state = chaos.random.pick(["began", "done"]);
  const reached = Promise.withResolvers<void>();
  const deployed = deploy(chaos, app, (progress) => {
    if (progress.step === step && progress.state === state) reached.resolve();
  }).catch(() => {});
  await Promise.race([reached.promise, deployed]);
  const excuse = await act(app);
  await deployed;
  app.deaths = 1; // At most, whichever came first.
  return excuse;
}

function restartController(signal: "SIGKILL" | "SIGTERM"): Action {
  return async ({ maestro }) => {
    await maestro.end(signal);
    await maestro.serve();
    return undefined;
  };
}

async function reload({ maestro }: Chaos): Promise<undefined> {
  const since = maestro.logLength;
  await (await maestro.client()).call("reload", {});
  await maestro.until("maestro.ready", () => true, since);
}

/** Frozen before it is killed: it accepts nothing between the look at what it has accepted and its death. */
async function killWorker({ maestro, random }: Chaos): Promise<Excuse> {
  const { workers } = await (await maestro.client()).call("status", {});
  const { pid } = random.pick(workers.filter(({ leaving }) => leaving !== true));
  const since = maestro.logLength;
  freeze(pid);
  const excuse = insideWorker(clientsOf(pid, maestro.httpPort), performance.now());
  process.kill(pid, "SIGKILL");
  await maestro.until("worker.died", (entry) => entry["pid"] === pid, since);
  return excuse;
}

/** A third death in a row makes an app one that fails, whose requests are refused: a deploy comes before it. */
const deathsInARow = 2;

async function killServing(chaos: Chaos, instances: number): Promise<Excuse> {
  const app = chaos.random.pick(chaos.apps.filter((candidate) => candidate.instances === instances));
  if (app.deaths === deathsInARow) await deploy(chaos, app);
  app.deaths += 1;
  const running = await instancesOf(chaos, app);
  return killInstance(
    chaos,
    app,
    running.filter(({ state }) => state === "serving"),
  );
}

/** Those that are frozen may end at any moment: their time is short here. */
async function unfrozenOf(chaos: Chaos, app: ChaosApp): Promise<InstanceReport[]> {
  return (await instancesOf(chaos, app)).filter(({ state }) => state !== "frozen");
}

async function instancesOf({ maestro }: Chaos, { name }: ChaosApp): Promise<InstanceReport[]> {
  return (await maestro.client()).call("ps", { app: name });
}

async function killInstance(
  { maestro, random }: Chaos,
  { host }: ChaosApp,
  candidates: readonly InstanceReport[],
): Promise<Excuse> {
  const { app, instance, release, key, pid, port } = random.pick(candidates);
  const since = maestro.logLength;
  const killedAt = performance.now();
  killGroup(pid, port ?? 0);
  const facts = { app, instance, release };
  const isIt = (entry: Record<string, unknown>) =>
    Object.entries(facts).every(([name, value]) => entry[name] === value);
  await maestro.until("instance.ended", isIt, since);
  const logs = join(maestro.home, "apps", app, "logs");
  return insideInstance({ host, logs, name: key.slice(app.length + 1) }, killedAt);
}

const codeOf = (error: unknown) => (error instanceof MaestroError ? error.code : String(error));
