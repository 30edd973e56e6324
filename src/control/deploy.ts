import type { DeployOutcome, DeployRecord } from "../app/deploy.ts";
import type { Origin } from "../app/release.ts";
import { MaestroError, toWire } from "../errors.ts";
import { ownIdentity } from "../lib/processes.ts";

/** How often a deploy says that it is still being done, ms. */
const heartbeatMs = 5000;

/** `last`: nothing comes after it, so it has to survive a power cut. Never rejects. */
type Write = (record: DeployRecord, options: { last: boolean }) => Promise<void>;

/** What is known of a deploy before it begins. */
export type DeployFacts = Pick<DeployRecord, "id" | "app" | "by" | "what" | "commit">;

/**
 * A deploy that is under way, and its record, which is written at each of its steps: were this controller to end now,
 * the next one would know what it was at.
 */
export class Deploy {
  #record: DeployRecord;
  readonly #write: Write;
  readonly #began = performance.now();
  #written: Promise<void> = Promise.resolve();
  #heartbeat: NodeJS.Timeout | undefined;
  readonly #cancelled = new AbortController();
  readonly #over = Promise.withResolvers<void>();
  #isDecided = false;
  #detail: string | null = null;
  /** Another deploy of the app comes first. */
  isWaiting = true;

  constructor(facts: DeployFacts, write: Write) {
    const now = new Date().toISOString();
    this.#write = write;
    this.#record = {
      v: 1,
      ...facts,
      startedAt: now,
      process: ownIdentity(),
      heartbeatAt: now,
      step: "check",
      steps: [],
      release: null,
      outcome: null,
      endedAt: null,
      tookMs: null,
      error: null,
    };
  }

  get id(): string {
    return this.#record.id;
  }

  /** Of which deploy a release is that it makes. */
  get origin(): Origin {
    const { by, id: deploy, commit } = this.#record;
    return { by, deploy, ...(commit === null ? {} : { commit }) };
  }

  get app(): string {
    return this.#record.app;
  }

  /** Aborted, with the reason, when somebody cancels it. */
  get signal(): AbortSignal {
    return this.#cancelled.signal;
  }

  /** It ends as soon as it can, and changes nothing. Answers whether it is not too late for that. */
  cancel(by: string): boolean {
    if (this.#isDecided) return false;
    const message = `the deploy of ${this.app} was cancelled by ${by}; what served goes on`;
    this.#cancelled.abort(new MaestroError("BUILD_FAILED", message, { app: this.app, cancelledBy: by }));
    return true;
  }

  /** From here on it comes about. Throws when it was cancelled before. */
  decide(): void {
    this.signal.throwIfAborted();
    this.#isDecided = true;
  }

  /** Resolves when it has ended, however it did, and nothing of it is left. */
  get over(): Promise<void> {
    return this.#over.promise;
  }

  settle(): void {
    this.#over.resolve();
  }

  /** What the next one who wants to deploy the app is told. */
  get underWay(): { since: string; by: string; step: string; detail: string | null } {
    const { startedAt: since, by, step } = this.#record;
    return { since, by, step, detail: this.#detail };
  }

  get what(): DeployRecord["what"] {
    return this.#record.what;
  }

  /** `detail`: what of it is being done. */
  reached(step: string, detail: string | null = null): void {
    this.#detail = detail;
    this.#heartbeat ??= setInterval(() => void this.#note({}), heartbeatMs).unref();
    void this.#note({ step });
  }

  /** A step is done. Written down with what comes next. */
  took(step: string, tookMs: number): void {
    this.#detail = null;
    this.#record = { ...this.#record, steps: [...this.#record.steps, { step, tookMs }] };
  }

  made(release: number): void {
    void this.#note({ release });
  }

  /** Resolves when all that was noted is on disk. */
  written(): Promise<void> {
    return this.#written;
  }

  done(): Promise<void> {
    return this.#end("done", null);
  }

  failed(error: unknown): Promise<void> {
    const { code, message } = toWire(error);
    return this.#end("failed", { code, message });
  }

  #end(outcome: DeployOutcome, error: DeployRecord["error"]): Promise<void> {
    clearInterval(this.#heartbeat);
    const tookMs = Math.round(performance.now() - this.#began);
    return this.#note({ outcome, error, tookMs, endedAt: new Date().toISOString() });
  }

  /** One that was refused at the check has changed nothing, perhaps not even named an app: it leaves no record. */
  #note(facts: Partial<DeployRecord>): Promise<void> {
    this.#record = { ...this.#record, ...facts, heartbeatAt: new Date().toISOString() };
    const record = this.#record;
    if (record.step === "check") return this.#written;
    this.#written = this.#written.then(() => this.#write(record, { last: record.outcome !== null }));
    return this.#written;
  }
}
