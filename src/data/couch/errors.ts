import { z } from "zod";

/** A refusal in CouchDB's own form: `{ "error": …, "reason": … }` with a status. */
export class CouchError extends Error {
  override readonly name = "CouchError";
  readonly status: number;
  readonly error: string;

  constructor(status: number, error: string, reason: string) {
    super(reason);
    this.status = status;
    this.error = error;
  }
}

export const badRequest = (reason: string) => new CouchError(400, "bad_request", reason);
export const notFound = (reason = "missing") => new CouchError(404, "not_found", reason);
export const forbidden = (reason: string) => new CouchError(403, "forbidden", reason);
export const notImplemented = (what: string) =>
  new CouchError(
    501,
    "not_implemented",
    `${what} is not there in the embedded database; use a CouchDB for it`,
  );

/** What PouchDB throws: an error with a status, and now and then only a name. */
const PouchFailure = z.looseObject({
  status: z.int().min(400).max(599).optional(),
  name: z.string().optional(),
  message: z.string().optional(),
  reason: z.unknown().optional(),
});

/** Where PouchDB's words for the same thing differ from CouchDB's. */
const words: Record<string, { status: number; error: string; reason?: string }> = {
  conflict: { status: 409, error: "conflict", reason: "Document update conflict." },
  doc_validation: { status: 400, error: "doc_validation" },
  badarg: { status: 400, error: "bad_request" },
  missing_id: { status: 400, error: "bad_request" },
  missing_stub: { status: 412, error: "missing_stub" },
  invalid_value: { status: 400, error: "query_parse_error" },
  NotFoundError: { status: 404, error: "not_found" },
  QueryParseError: { status: 400, error: "query_parse_error" },
  BuiltInError: { status: 500, error: "builtin_reduce_error" },
};

/** Whatever was thrown, as CouchDB would say it. What nobody foresaw is a 500 without its details. */
export function toCouchError(thrown: unknown): CouchError {
  if (thrown instanceof CouchError) return thrown;
  const failure = PouchFailure.safeParse(thrown).data ?? {};
  const word = words[failure.name ?? ""];
  const said = typeof failure.reason === "string" && failure.reason !== "" ? failure.reason : failure.message;
  const reason = word?.reason ?? said ?? "unknown";
  if (word) return new CouchError(word.status, word.error, reason);
  if (isDiskFull(failure.message))
    return new CouchError(507, "insufficient_storage", "the disk is full: this was not written");
  if (failure.status !== undefined) return new CouchError(failure.status, failure.name ?? "error", reason);
  return new CouchError(500, "internal_server_error", "the database could not do this; its log says why");
}

const isDiskFull = (message = "") => /^IO error:.*No space left on device/.test(message);

/** Whether LevelDB could not write: it takes no more writes then until it is opened again. */
export const isDiskError = (thrown: unknown) =>
  PouchFailure.safeParse(thrown).data?.message?.startsWith("IO error:") ?? false;

/** Whether this is a fault of ours, which belongs in the log, and not the caller's. */
export const isFault = (thrown: unknown) => toCouchError(thrown).error === "internal_server_error";
