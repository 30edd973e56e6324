import type { Body } from "../../http/body.ts";
import type { UpstreamConnection } from "../../http/pool.ts";
import type { Ending } from "../../http/response.ts";
import type { Reader, Wire } from "../../http/wire.ts";
import type { Admission } from "./admission.ts";
import { Answer, type Asker } from "./answer.ts";
import { type Failure, failureOf, mostAttempts, nowhere } from "./attempts.ts";
import type { AppConnection } from "./connection.ts";
import type { KeptRequest } from "./kept-request.ts";

/** One request and its answer on the byte path, until the last byte. It reads what the server says. */
export class Exchange implements Reader, Asker {
  readonly #app: AppConnection;
  readonly #request: KeptRequest;
  #admission: Admission | null = null;
  #server: UpstreamConnection | null = null;
  #connecting: AbortController | null = null;
  #answer: Answer;
  #attempts = 0;
  #isOver = false;

  constructor(app: AppConnection, request: KeptRequest) {
    this.#app = app;
    this.#request = request;
    this.#answer = this.#newAnswer();
  }

  begin(): void {
    const admission = this.#request.home.admitNow();
    if (admission) this.#send(admission);
    else void this.#sendWhenAdmitted();
  }

  get wire(): Wire {
    return this.#app.wire;
  }

  /** Nobody is there any more to be answered. */
  abandon(): void {
    this.#isOver = true;
    this.#connecting?.abort();
    this.#letGo(false);
  }

  onHead({ isEndless }: Body): Ending {
    if (isEndless) this.#app.isKept = false;
    return this.#app.isKept ? "kept" : "closed";
  }

  onBytes(bytes: Buffer, length: number): void {
    const wire = this.#server?.wire;
    if (!wire) return;
    try {
      this.#answer.take(wire, bytes, length);
    } catch {
      this.#broke(); // That is no HTTP.
      return;
    }
    if (this.#answer.isComplete) this.#finish();
    else if (this.#answer.hasBegun) this.#waitForMore(wire);
  }

  onEnd(): void {
    if (this.#answer.hasBegun && this.#answer.close()) this.#finish();
    else this.#broke();
  }

  onClose(): void {
    this.#broke();
  }

  async #sendWhenAdmitted(): Promise<void> {
    const admission = await this.#request.home.admit();
    if (this.#isOver) admission?.release();
    else if (admission) this.#send(admission);
    else this.#refuse(nowhere);
  }

  #send(admission: Admission): void {
    const { backend } = admission;
    const server = backend.takeConnection();
    if (!server && !backend.mayConnect) {
      admission.release();
      this.#isOver = true;
      this.#app.askGenerally(this.#request);
      return;
    }
    this.#attempts += 1;
    this.#admission = admission;
    // What is only read is no reason to wait when the database goes home.
    if (this.#request.isReading) admission.release();
    if (server) this.#sendOver(server, admission);
    else void this.#sendWhenConnected(admission);
  }

  async #sendWhenConnected(admission: Admission): Promise<void> {
    const connecting = new AbortController();
    this.#connecting = connecting;
    let server: UpstreamConnection;
    try {
      server = await admission.backend.connect(connecting.signal);
    } catch {
      if (!this.#isOver) this.#fail("not sent", admission);
      return;
    }
    if (this.#isOver) server.giveBack(true);
    else this.#sendOver(server, admission);
  }

  #sendOver(server: UpstreamConnection, admission: Admission): void {
    this.#server = server;
    server.lend(this);
    this.#request.sendTo(server.wire, admission);
    if (!server.wire.isOpen) this.#broke();
  }

  #newAnswer(): Answer {
    return new Answer(this, this.#request.method === "HEAD");
  }

  #waitForMore(server: Wire): void {
    server.isStreaming = true;
    server.waitFor(this.wire);
  }

  #finish(): void {
    this.#isOver = true;
    this.#letGo(this.#answer.isConnectionKept);
    this.#app.finish();
  }

  /** An answer that has been begun can only be cut off. */
  #broke(): void {
    if (this.#server === null || this.#admission === null) return;
    if (this.#answer.hasBegun) {
      this.#isOver = true;
      this.#letGo(false);
      this.#app.cut(this.#answer.isEndless);
      return;
    }
    this.#fail("failed", this.#admission);
  }

  #fail(failure: Failure, { side }: Admission): void {
    this.#letGo(false);
    void this.#again(failure, this.#request.home.healthOf(side)?.settled());
  }

  async #again(failure: Failure, settled: Promise<void> | undefined): Promise<void> {
    const { isReading } = this.#request;
    const mayRepeat = failure === "not sent" || isReading;
    if (!mayRepeat || this.#attempts >= mostAttempts) return this.#refuse(failureOf(isReading));
    await settled;
    if (this.#isOver) return;
    this.#answer = this.#newAnswer();
    await this.#sendWhenAdmitted();
  }

  #refuse(reason: string): void {
    this.#isOver = true;
    this.#app.refuse(503, "service_unavailable", reason);
  }

  #letGo(isKept: boolean): void {
    this.#server?.giveBack(isKept);
    this.#admission?.release();
    this.#server = null;
    this.#admission = null;
  }
}
