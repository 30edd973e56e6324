/** Where an answer carries sequences: at each change, once and before its rows, or nowhere. */
export type SequencePlace = "changes" | "page" | "nowhere";

/** What is asked, and the body if there is one that was kept. */
type Asked = { method: string; path: readonly string[]; search: string; body: Buffer | null };

export function sequencePlace({ method, path, search, body }: Asked): SequencePlace {
  if (path[1] === "_changes") return "changes";
  const isInformation = path.length === 1 && method === "GET";
  const isAsked = asks(search) || (isQueryByBody(method, path) && body?.includes("update_seq") === true);
  return isInformation || isAsked ? "page" : "nowhere";
}

/** Whether it may, by what is known before the body has come. */
export const mayCarrySequence = (method: string, path: readonly string[], search: string): boolean =>
  asks(search) || isQueryByBody(method, path);

const asks = (search: string) => /update_seq/i.test(search);

/** The parameters of a view may stand in the body, too. */
const isQueryByBody = (method: string, path: readonly string[]) => method === "POST" && path[3] === "_view";
