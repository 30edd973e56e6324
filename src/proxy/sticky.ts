import { createHash } from "node:crypto";
import type { Upstream } from "../protocol/worker.ts";
import type { Asked } from "./mounts.ts";
import type { Place } from "./routes.ts";

/** Instances by their names in cookies, which tell nobody what an instance is called. */
const names = new Map<string, string>();
const mostNames = 10_000;

function nameOf({ instance }: Upstream): string {
  let name = names.get(instance);
  if (name === undefined) {
    if (names.size >= mostNames) names.clear();
    name = createHash("sha256").update(instance).digest("hex").slice(0, 16);
    names.set(instance, name);
  }
  return name;
}

/** Of the app: several may share a hostname. */
const cookieOf = ({ route }: Place) => `maestro-${route.app}`;

/** The name of the instance that a visitor came to before, of an app that asks for it; "" for a new one. */
export function stickyName(asked: Asked, place: Place): string {
  if (!place.route.settings?.sticky) return "";
  const mark = `${cookieOf(place)}=`;
  const cookie = asked
    .field("cookie")
    .split(/[;,] */)
    .find((pair) => pair.startsWith(mark));
  return cookie?.slice(mark.length) ?? "";
}

/** The instance of that name, where the app still has it. */
export function stickyInstance({ route }: Place, name: string): string | null {
  if (name === "") return null;
  return route.upstreams.find((upstream) => nameOf(upstream) === name)?.instance ?? null;
}

/** What an answer has to set so that the visitor comes back to the instance; "" where he does anyway, or need not. */
function cookieFor(asked: Asked, place: Place, upstream: Upstream): string {
  if (!place.route.settings?.sticky || stickyName(asked, place) === nameOf(upstream)) return "";
  const path = place.prefix === "" ? "/" : place.prefix;
  return `${cookieOf(place)}=${nameOf(upstream)}; Path=${path}; HttpOnly; SameSite=Lax`;
}

/** The same as a line of a head. */
export function setCookieLine(asked: Asked, place: Place, upstream: Upstream): string {
  const cookie = cookieFor(asked, place, upstream);
  return cookie === "" ? "" : `Set-Cookie: ${cookie}\r\n`;
}

/** The same as the fields of an answer. */
export function setCookie({ head }: { head: Asked }, passage: Claimed | undefined): string[] {
  const cookie = passage ? cookieFor(head, passage.place, passage.lease.upstream) : "";
  return cookie === "" ? [] : ["Set-Cookie", cookie];
}

type Claimed = { place: Place; lease: { upstream: Upstream } };
