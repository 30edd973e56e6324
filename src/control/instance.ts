import {
  type Address,
  type InstanceEvent,
  type InstanceState,
  type LaunchSpec,
  nextState,
  type RunningInstance,
} from "../app/instance.ts";
import type { PortLease } from "./ports.ts";

/** An instance that the controller looks after. */
export class Instance {
  readonly running: RunningInstance;
  /** "web.1" */
  readonly id: string;
  readonly release: number;
  readonly startedAt: string;
  readonly output: LaunchSpec["output"];
  readonly #lease: PortLease | null;
  #state: InstanceState = "starting";
  /** Where its traffic goes, once it is ready; null for a process type that serves none. */
  address: Address | null = null;

  constructor(
    facts: Pick<Instance, "running" | "id" | "release" | "startedAt" | "output">,
    lease: PortLease | null,
  ) {
    this.running = facts.running;
    this.id = facts.id;
    this.release = facts.release;
    this.startedAt = facts.startedAt;
    this.output = facts.output;
    this.#lease = lease;
    void this.running.exited.then(() => {
      this.became("exited");
      this.#lease?.release();
    });
  }

  get key(): string {
    return this.running.key;
  }

  get port(): number | null {
    return this.#lease?.port ?? null;
  }

  get state(): InstanceState {
    return this.#state;
  }

  /** "web" of "web.1" */
  get processType(): string {
    return this.id.slice(0, this.id.lastIndexOf("."));
  }

  became(event: InstanceEvent): void {
    this.#state = nextState(this.#state, event);
  }
}
