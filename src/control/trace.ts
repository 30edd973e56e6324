import { channel } from "node:diagnostics_channel";

/** `began` and `done` of each thing that a deploy does, the parts of its steps and what comes after its answer too. */
export type TracedStep = { app: string; step: string; state: "began" | "done" };

/** For whoever traces Maestro: a module that is loaded before it (`node --import`) can subscribe. */
const steps = channel("maestro:step");

export async function traced<T>(app: string, step: string, work: () => Promise<T>): Promise<T> {
  tell({ app, step, state: "began" });
  const result = await work();
  tell({ app, step, state: "done" });
  return result;
}

export function tell(step: TracedStep): void {
  if (steps.hasSubscribers) steps.publish(step);
}
