import type { Place } from "./routes.ts";

/** What is asked for, as far as it decides where a request goes. */
export type Asked = {
  /** The `Host` header. */
  readonly host: string;
  /** The request target in origin form, or `*`. Looked at only where a hostname is shared by path. */
  readonly path: string;
  /** Where it goes, from the moment in which that is known. */
  place: Place | null;
  /** The value of a field, in lower case; "" without one. */
  field(name: string): string;
  /** What it says that its body has; 0 where it does not say. */
  readonly bodyLength: number;
  /** The memory that it takes while it waits. */
  readonly heldBytes: number;
};

/** Whether a target is at a path prefix or below it, by whole segments. "" is the prefix of everything. */
export function isBelow(path: string, prefix: string): boolean {
  if (!path.startsWith(prefix)) return false;
  const next = path[prefix.length];
  return prefix === "" || next === undefined || next === "/" || next === "?";
}

/**
 * The path as the most lenient of readers would understand it: percent codes resolved, a backslash taken for a slash,
 * what is behind `;` or NUL cut off, empty segments and dot segments gone. Apps differ in which of these they do; where all
 * of them together lead to another mount, the path means two things.
 */
export function asReadLeniently(target: string): string {
  const query = target.indexOf("?");
  const path = decoded(query === -1 ? target : target.slice(0, query));
  const kept: string[] = [];
  for (const part of path.replaceAll("\\", "/").split("/")) {
    const name = part.split(/[;\0]/, 1)[0] ?? "";
    if (name === "..") kept.pop();
    else if (name !== "" && name !== ".") kept.push(name);
  }
  return `/${kept.join("/")}`;
}

/** Some decode what another reader has decoded already. */
const decodings = 3;

function decoded(path: string): string {
  let text = path;
  for (let times = 0; times < decodings && text.includes("%"); times += 1) {
    text = text.replace(/%([0-9a-f]{2})/gi, (_, hex: string) =>
      String.fromCharCode(Number.parseInt(hex, 16)),
    );
  }
  return text;
}

/** The target without the prefix that it is below. */
export function withoutPrefix(path: string, prefix: string): string {
  if (prefix === "") return path;
  const rest = path.slice(prefix.length);
  return rest.startsWith("/") ? rest : `/${rest}`;
}

/** Whether a target without the prefix would begin like a URL of another host: a redirect to it leads astray. */
export function leadsElsewhere(path: string, prefix: string): boolean {
  return /^\/[/\\]/.test(withoutPrefix(path, prefix));
}
