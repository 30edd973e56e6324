import type { DeployStep } from "../deploy.ts";
import { renderOutput, renderStep } from "./render/deploy.ts";
import { paint, wantsColor } from "./render/screen.ts";
import type { Output, Terminal } from "./terminal.ts";

/** Shows the steps of a deploy as they come. `end` takes the step that is still under way off the screen. */
export type StepProgress = { show(step: DeployStep): void; end(outcome: "done" | "failed"): void };

/** On a terminal the step under way is a line that is refreshed in place; elsewhere each step is one plain line. */
export function stepProgress({ stderr, env }: Pick<Terminal, "stderr" | "env">): StepProgress {
  return stderr.isTTY && env["TERM"] !== "dumb"
    ? new AnimatedProgress(stderr, { color: wantsColor(true, env) })
    : plainProgress(stderr);
}

function plainProgress(output: Output): StepProgress {
  return {
    show(step) {
      if (step.state === "output") output.write(`${renderOutput(step.detail ?? "", { color: false })}\n`);
      if (step.state === "done" || isPart(step)) output.write(`${renderStep(step, { color: false })}\n`);
    },
    end() {},
  };
}

/** One of the things that are done in a step, each worth a line of its own. */
const isPart = ({ step, state, detail }: DeployStep) =>
  step === "build" && state === "began" && detail !== undefined;

const frames = ["⠋", "⠙", "⠹", "⠸", "⠼", "⠴", "⠦", "⠧", "⠇", "⠏"];
const frameMs = 80;
const clearLine = "\r\u001b[2K";

class AnimatedProgress implements StepProgress {
  readonly #output: Output;
  readonly #screen: { color: boolean };
  #current: DeployStep | null = null;
  #frame = 0;
  #timer: NodeJS.Timeout | undefined;

  constructor(output: Output, screen: { color: boolean }) {
    this.#output = output;
    this.#screen = screen;
  }

  show(step: DeployStep): void {
    if (step.state === "began") {
      if (isPart(step))
        this.#output.write(
          `${clearLine}${paint(this.#screen, "good", "→")} ${renderStep(step, this.#screen)}\n`,
        );
      this.#current = step;
      this.#timer ??= setInterval(() => this.#turn(), frameMs).unref();
      this.#turn();
    } else if (step.state === "output") {
      this.#output.write(`${clearLine}${renderOutput(step.detail ?? "", this.#screen)}\n`);
      this.#turn();
    } else {
      if (this.#current?.step === step.step) this.#current = null;
      this.#output.write(
        `${clearLine}${paint(this.#screen, "good", "✓")} ${renderStep(step, this.#screen)}\n`,
      );
    }
  }

  end(outcome: "done" | "failed"): void {
    clearInterval(this.#timer);
    this.#timer = undefined;
    if (this.#current === null) return;
    const left =
      outcome === "failed" ? `${paint(this.#screen, "bad", "✗")} ${this.#line(this.#current)}\n` : "";
    this.#output.write(clearLine + left);
    this.#current = null;
  }

  #turn(): void {
    if (this.#current === null) return;
    this.#frame = (this.#frame + 1) % frames.length;
    this.#output.write(`${clearLine}${frames[this.#frame]} ${this.#line(this.#current)}`);
  }

  /** A line that wraps could not be refreshed in place. */
  #line(step: DeployStep): string {
    return renderStep(step, { color: false }).slice(0, Math.max(10, this.#output.columns - 3));
  }
}
