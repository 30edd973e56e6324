import { space } from "./characters.ts";

/** What a request that has been composed says, for whoever asks seldom enough to look for it again. */

/** The target: it stands between two spaces. */
export function targetOf(request: Buffer): string {
  const start = request.indexOf(space) + 1;
  return request.toString("latin1", start, request.indexOf(space, start));
}

/** The value of a field, several of them as a list; "" without one. */
export function fieldOf(request: Buffer, name: string): string {
  const [, ...lines] = request.toString("latin1", 0, request.indexOf("\r\n\r\n")).split("\r\n");
  return lines
    .map(
      (line) => [line.slice(0, line.indexOf(":")).toLowerCase(), line.slice(line.indexOf(":") + 1)] as const,
    )
    .flatMap(([field, value]) => (field === name ? [value.trim()] : []))
    .join(", ");
}
