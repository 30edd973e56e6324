import type { DeployProgress } from "../app/reports.ts";

/** Tells a caller which step began and which is done, with the time that it took. */
export class Steps {
  readonly #tell: (progress: DeployProgress) => void;
  readonly #began = new Map<DeployProgress["step"], number>();

  constructor(tell: ((progress: DeployProgress) => void) | undefined) {
    this.#tell = tell ?? (() => {});
  }

  began(step: DeployProgress["step"]): void {
    this.#began.set(step, performance.now());
    this.#tell({ step, state: "began" });
  }

  done(step: DeployProgress["step"], detail?: string): void {
    const tookMs = Math.round(performance.now() - (this.#began.get(step) ?? performance.now()));
    this.#tell({ step, state: "done", tookMs, ...(detail === undefined ? {} : { detail }) });
  }

  async run<T>(
    step: DeployProgress["step"],
    work: () => Promise<T>,
    describe?: (result: T) => string,
  ): Promise<T> {
    this.began(step);
    const result = await work();
    this.done(step, describe?.(result));
    return result;
  }
}
