import type { DeployProgress } from "../app/reports.ts";
import type { Deploy } from "./deploy.ts";
import { tell } from "./trace.ts";

type Step = DeployProgress["step"];

/** Tells which step of a deploy began and which is done, with the time that it took: its caller and its record. */
export class Steps {
  readonly #deploy: Deploy;
  readonly #progress: (progress: DeployProgress) => void;
  readonly #began = new Map<Step, number>();

  constructor(deploy: Deploy, progress: ((progress: DeployProgress) => void) | undefined) {
    this.#deploy = deploy;
    this.#progress = progress ?? (() => {});
  }

  /** Aborted when the deploy is cancelled. */
  get signal(): AbortSignal {
    return this.#deploy.signal;
  }

  /** `detail`: what of it is being done; a step may begin with one thing and go on to others. */
  began(step: Step, detail?: string): void {
    if (!this.#began.has(step)) this.#began.set(step, performance.now());
    this.#deploy.reached(step, detail);
    this.#tell({ step, state: "began", ...(detail === undefined ? {} : { detail }) });
  }

  /** A line of the output of what goes on in a step. */
  output(step: Step, text: string): void {
    this.#progress({ step, state: "output", detail: text });
  }

  done(step: Step, detail?: string): void {
    const tookMs = Math.round(performance.now() - (this.#began.get(step) ?? performance.now()));
    this.#began.delete(step);
    this.#deploy.took(step, tookMs);
    this.#tell({ step, state: "done", tookMs, ...(detail === undefined ? {} : { detail }) });
  }

  async run<T>(step: Step, work: () => Promise<T>, describe?: (result: T) => string): Promise<T> {
    this.signal.throwIfAborted();
    this.began(step);
    const result = await work();
    this.done(step, describe?.(result));
    return result;
  }

  #tell(progress: DeployProgress & { state: "began" | "done" }): void {
    tell({ app: this.#deploy.app, step: progress.step, state: progress.state });
    this.#progress(progress);
  }
}
