import { STATUS_CODES } from "node:http";

/** An answer of the endpoint's own, in CouchDB's form. */
export type OwnAnswer = { headers: Record<string, string | number>; json: string };

export function refusal(status: number, error: string, reason: string, isClosed: boolean): OwnAnswer {
  const json = `${JSON.stringify({ error, reason })}\n`;
  const headers = {
    "content-type": "application/json",
    "content-length": Buffer.byteLength(json),
    ...(status === 503 ? { "retry-after": "1" } : {}),
    ...(status === 401 ? { "www-authenticate": 'Basic realm="server"' } : {}),
    ...(isClosed ? { connection: "close" } : {}),
  };
  return { headers, json };
}

/** As it goes over the wire. A `HEAD` gets the head alone. */
export function asBytes(status: number, { headers, json }: OwnAnswer, isHead: boolean): Buffer {
  const lines = [
    `HTTP/1.1 ${status} ${STATUS_CODES[status] ?? ""}`,
    ...Object.entries(headers).map(([name, value]) => `${name}: ${value}`),
    `date: ${new Date().toUTCString()}`,
  ];
  return Buffer.from(`${lines.join("\r\n")}\r\n\r\n${isHead ? "" : json}`);
}
