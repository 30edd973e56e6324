import { setTimeout as pause } from "node:timers/promises";
import { MaestroError } from "../../src/errors.ts";

/** A document as CouchDB gives it. */
export type Doc = { _id: string; _rev?: string; [field: string]: unknown };

const attempts = 10;

/** A database that is asked over HTTP; what is answered with 503 is asked again for a while. */
export class RemoteDatabase {
  readonly #url: string;
  readonly #authorization: string;

  /** `url`: with its credentials, as in COUCHDB_URL. */
  constructor(url: string) {
    const { origin, pathname, username, password } = new URL(url);
    this.#url = origin + pathname;
    this.#authorization = `Basic ${btoa(`${decodeURIComponent(username)}:${decodeURIComponent(password)}`)}`;
  }

  /** Throws `INTERNAL` with what the database said. */
  async ask(path: string, body?: unknown, signal?: AbortSignal): Promise<unknown> {
    for (let attempt = 1; ; attempt += 1) {
      const response = await this.#send(path, body, signal);
      if (response.ok) return response.json();
      const text = await response.text();
      if (response.status !== 503 || attempt === attempts) {
        const message = `the database answered ${response.status}: ${text.trim().slice(0, 300)}`;
        throw new MaestroError("INTERNAL", message, { status: response.status });
      }
      await pause(500, undefined, { ...(signal ? { signal } : {}) });
    }
  }

  async #send(path: string, body: unknown, signal: AbortSignal | undefined): Promise<Response> {
    try {
      return await fetch(`${this.#url}${path}`, {
        method: body === undefined ? "GET" : "POST",
        headers: { authorization: this.#authorization, "content-type": "application/json" },
        ...(body === undefined ? {} : { body: JSON.stringify(body) }),
        ...(signal ? { signal } : {}),
      });
    } catch (error) {
      signal?.throwIfAborted();
      const message = "the database cannot be reached; this command has to run on the server's own machine";
      throw new MaestroError("INTERNAL", message, {}, { cause: error });
    }
  }
}

/** Written behind the documents of an export. As a local document it is no part of what any tool restores. */
export const trailerId = "_local/maestro-export";

export type Transferred = {
  documents: number;
  revisions: number;
  attachments: number;
  bytes: number;
  sha256: string;
};
export type Progress = (done: { revisions: number; bytes: number; of?: number }) => void;
