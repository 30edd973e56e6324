import type { App } from "../app/app.ts";
import { hostnameOfMount, prefixOfMount } from "../app/mount.ts";
import type { AppReport, InstanceReport } from "../app/reports.ts";
import type { WorkerStatus } from "../protocol/worker.ts";
import type { Controller, Death } from "./controller.ts";
import type { Instance } from "./instance.ts";

/** The addresses under which people reach an app. The port is left out where browsers leave it out. */
export function urlsOf(controller: Controller, app: App): string[] {
  const port = controller.httpPort;
  return controller
    .hostnames(app)
    .filter((hostname) => !hostname.startsWith("*."))
    .map((mount) => {
      const prefix = prefixOfMount(mount);
      return `http://${hostnameOfMount(mount)}${port === 80 ? "" : `:${port}`}${prefix === "" ? "/" : prefix}`;
    });
}

export function reportApps(controller: Controller): AppReport[] {
  const broken = controller.registry.broken().map(
    ({ name, problem }): AppReport => ({
      app: name,
      hostnames: [],
      urls: [],
      release: null,
      state: "broken",
      instances: 0,
      problem: `${problem}. Mend or remove that file and restart Maestro.`,
    }),
  );
  return [...controller.registry.all().map((app) => reportApp(controller, app)), ...broken];
}

function reportApp(controller: Controller, app: App): AppReport {
  const { problem, serving, lastDeath } = controller.runtime(app.name);
  return {
    app: app.name,
    hostnames: [...controller.hostnames(app)],
    urls: urlsOf(controller, app),
    release: app.release,
    state: stateOf(controller, app),
    ...(app.mode ? { mode: app.mode } : {}),
    instances: serving.size,
    ...(problem ? { problem: problem.message, lastWords: problem.lastWords } : {}),
    ...(lastDeath ? { lastDeath: reportDeath(lastDeath) } : {}),
  };
}

function reportDeath({ exit, ...facts }: Death): NonNullable<AppReport["lastDeath"]> {
  const { code: exitCode, signal, memory } = exit;
  return { ...facts, exitCode, signal, ...(memory ? { memory } : {}) };
}

function stateOf(controller: Controller, app: App): AppReport["state"] {
  const { problem, revivals, serving, deploying } = controller.runtime(app.name);
  if (app.release === null) return "empty";
  if (app.stopped) return "stopped";
  if (problem) return "failing";
  if (revivals.size > 0) return "starting";
  if (serving.size > 0) return "serving";
  return deploying ? "starting" : "stopped"; // An app that was scaled to nothing.
}

/** What runs, with what is under way at each as the workers count it. */
export function reportInstances(
  controller: Controller,
  workers: WorkerStatus[],
  only?: string,
): InstanceReport[] {
  const apps = only === undefined ? controller.registry.all() : [controller.registry.get(only)];
  return apps.flatMap((app) => {
    const uid = controller.runner.effectiveUser(app.user)?.uid;
    const user = uid === undefined ? "Maestro's own" : `uid ${uid}`;
    const instances = [...controller.runtime(app.name).living].map((instance) => ({
      ...reportConfinement(controller, instance),
      app: app.name,
      instance: instance.id,
      key: instance.key,
      release: instance.release,
      state: instance.state,
      port: instance.port,
      pid: instance.running.pid,
      startedAt: instance.startedAt,
      user,
      inFlight: sumInFlight(workers, instance.key),
      ...outAt(workers, instance.key),
      ...(app.mode ? { mode: app.mode.kind } : {}),
    }));
    return [...instances, ...reportRuns(controller, app, user)];
  });
}

/** One-off programs, from the moment in which they have a process. */
function reportRuns(controller: Controller, { name: app }: App, user: string): InstanceReport[] {
  const isolation = controller.runner.isolation.level;
  return [...controller.runtime(app).runs].flatMap((oneOff) => {
    const { program, instance, key, release, state, startedAt } = oneOff;
    if (program === null) return [];
    const { pid } = program;
    const facts = { app, instance, key, release, state, port: null, pid, startedAt, user };
    return [{ ...facts, isolation, memory: program.memory(), inFlight: { requests: 0, streams: 0 } }];
  });
}

function reportConfinement({ runner }: Controller, { running }: Instance) {
  const { level: isolation, memory } = runner.confinementOf(running);
  return { isolation, memory };
}

function outAt(workers: WorkerStatus[], key: string): Pick<InstanceReport, "outAt"> {
  const count = workers.filter(({ out }) => out.includes(key)).length;
  return count === 0 ? {} : { outAt: count };
}

function sumInFlight(workers: WorkerStatus[], key: string) {
  const sum = { requests: 0, streams: 0 };
  for (const { inFlight } of workers) {
    sum.requests += inFlight[key]?.requests ?? 0;
    sum.streams += inFlight[key]?.streams ?? 0;
  }
  return sum;
}
