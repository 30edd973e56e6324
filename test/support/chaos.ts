import { actions, versionFile, versionOf } from "./chaos-actions.ts";
import { faultsAtRest, faultsAtTheEnd } from "./chaos-faults.ts";
import { Random } from "./chaos-random.ts";
import { Deploys, unexcused } from "./chaos-verdict.ts";
import { Load } from "./load.ts";
import { fixture, TestMaestro } from "./maestro.ts";

export type ChaosApp = {
  name: string;
  host: string;
  /** How many instances serve it. */
  instances: number;
  load: Load;
  deploys: Deploys;
  /** The number of its latest version. */
  serial: number;
  /** Of its instances, since it was last deployed. */
  deaths: number;
};

/** What an action cost: requests that ended while it had its effect, those that were lost, the longest wait, ms. */
export type Cost = {
  action: string;
  requests: number;
  lost: number;
  longestMs: number;
  faults: string[];
};

const workers = 2;
/** Small pauses are the app's: clients that never wait would leave no processor for what is watched. */
const load = {
  clients: { "keep-alive": 2, close: 1, slow: 1, upload: 1 },
  paths: { "keep-alive": "/slow?ms=10", close: "/slow?ms=20", slow: "/slow?ms=150", upload: "/upload?ms=20" },
};

/** Three apps under steady load, to which things happen at moments that follow from a seed. */
export class Chaos implements AsyncDisposable {
  readonly maestro: TestMaestro;
  readonly random: Random;
  readonly apps: ChaosApp[] = [];

  private constructor(maestro: TestMaestro, seed: number) {
    this.maestro = maestro;
    this.random = new Random(seed);
  }

  static async start(seed: number): Promise<Chaos> {
    // What is replaced is frozen too, and at the end nothing of it shall be left.
    const maestro = await TestMaestro.start("--workers", String(workers), "--warm", "2");
    const chaos = new Chaos(maestro, seed);
    await using failed = new AsyncDisposableStack();
    failed.use(chaos);
    // Again, and asked for the port that it got: workers are taken over as long as they listen where they should.
    await maestro.end("SIGINT");
    await maestro.serve();
    await chaos.#add("one", 1);
    await chaos.#add("other", 1);
    await chaos.#add("pair", 2);
    failed.move(); // It has not.
    return chaos;
  }

  async #add(name: string, instances: number): Promise<void> {
    const declared = { formation: { web: { quantity: instances } }, env: { WITNESS: "1" } };
    const deploys = new Deploys();
    const host = `${name}.test`;
    const app = { name, host, instances, deploys, serial: 0, deaths: 0 };
    const confirm = deploys.begin(versionOf(app));
    const files = { ...versionFile(app), "app.json": JSON.stringify(declared) };
    await this.maestro.deploy(name, fixture("traffic"), files);
    confirm();
    this.apps.push({ ...app, load: new Load(this.maestro.httpPort, host, load) });
  }

  /** Has something happen at some moment, and judges what it cost when all of it is over. */
  async act(name: string): Promise<Cost> {
    await this.random.pick(this.apps).load.more(this.random.between(1, 30));
    this.#take();
    const excuse = await actions[name]?.(this);
    await this.#untilWhole();
    await Promise.all(this.apps.map((app) => app.load.round()));

    const { outcomes, failures, wrong } = this.#take();
    const longestMs = Math.max(
      ...[...outcomes, ...failures].map(({ beganAt, endedAt }) => endedAt - beganAt),
    );
    const faults = [...wrong, ...(await unexcused(failures, excuse ? [excuse] : []))];
    return {
      action: name,
      requests: outcomes.length + failures.length,
      lost: failures.length,
      longestMs,
      faults,
    };
  }

  /** What has ended since this was last asked; with the answers that no release should have given. */
  #take() {
    const taken = this.apps.map(({ load, deploys }) => {
      const { outcomes, failures } = load.take();
      return { outcomes, failures, wrong: deploys.wrong(outcomes) };
    });
    return {
      outcomes: taken.flatMap(({ outcomes }) => outcomes),
      failures: taken.flatMap(({ failures }) => failures),
      wrong: taken.flatMap(({ wrong }) => wrong),
    };
  }

  /** As many workers and instances serve as should: what happens next is not to meet what happened before. */
  async #untilWhole(): Promise<void> {
    while (!(await this.#isWhole())) await this.#someRequest();
  }

  async #isWhole(): Promise<boolean> {
    const client = await this.maestro.client();
    if ((await client.call("status", {})).workers.length !== workers) return false;
    const running = await client.call("ps", {});
    return this.apps.every(({ name, instances }) => {
      const own = running.filter(({ app }) => app === name);
      const serving = own.filter(({ state }) => state === "serving");
      return serving.length === instances && own.every(({ state }) => state !== "starting");
    });
  }

  async #someRequest(): Promise<void> {
    await Promise.race(this.apps.map(({ load }) => load.more(1)));
  }

  /** Ends the load, then everything. Answers what is not as it should be, or is left behind. */
  async end(): Promise<string[]> {
    await this.#untilSettled();
    await Promise.all(this.apps.map(({ load }) => load.end()));
    const { failures, wrong } = this.#take();
    const atRest = await faultsAtRest(this.maestro, this.apps);
    await this.maestro.end("SIGINT");
    return [...wrong, ...(await unexcused(failures, [])), ...atRest, ...(await faultsAtTheEnd(this.maestro))];
  }

  /** Nothing drains any more; and what has ended is tidied up within the time of some requests. */
  async #untilSettled(): Promise<void> {
    const client = await this.maestro.client();
    const drains = async () => (await client.call("ps", {})).some(({ state }) => state !== "serving");
    while (await drains()) await this.#someRequest();
    const isTidy = async () => (await faultsAtRest(this.maestro, this.apps)).length === 0;
    for (let tries = 0; tries < 50 && !(await isTidy()); tries += 1) await this.#someRequest();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.maestro[Symbol.asyncDispose]();
    await Promise.all(this.apps.map(({ load }) => load.end()));
  }
}
