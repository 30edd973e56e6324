/* What becomes of a request whose server fails: sent again where that is safe, or told of so that its app knows. */

/** How often a request that may be repeated is sent. */
export const mostAttempts = 4;

/** "not sent": the server was not there at all. */
export type Failure = "failed" | "not sent";

/** What only reads, though it is a POST. */
const reading = new Set([
  "_find",
  "_explain",
  "_all_docs",
  "_bulk_get",
  "_revs_diff",
  "_missing_revs",
  "_changes",
  "_view",
]);

/** Whether a request changes nothing, and may be sent as often as one likes. */
export function isReading(method: string, path: readonly string[]): boolean {
  if (method === "GET" || method === "HEAD") return true;
  return method === "POST" && (reading.has(path[1] ?? "") || path[3] === "_view");
}

/** What an app is told when its request is not sent again. */
export const failureOf = (isReading: boolean) =>
  isReading
    ? "the database failed; try again"
    : "the database failed while this was being done, and it may have been done or not; look before you do it again";

export const nowhere = "the database is not there; try again";
