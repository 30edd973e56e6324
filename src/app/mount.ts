import { z } from "zod";
import { normalizeHostname } from "./app.ts";

/**
 * Where an app is mounted: a hostname, `example.com`, or a path prefix of one, `example.com/payments`. The prefix begins
 * with a slash, does not end with one, and stands for whole segments.
 */

/**
 * What a segment may consist of: characters that every reader takes for themselves. Nothing that is decoded, and no `;`,
 * which some readers cut a segment off at.
 */
const segment = /^(?!\.{1,2}$)[A-Za-z0-9._~!$&'()+,=:@-]+$/;
const mostPrefix = 200;

/** As it is stored and compared; null when it is none. */
export function normalizeMount(text: string): string | null {
  const trimmed = text.trim();
  const slash = trimmed.indexOf("/");
  if (slash === -1) return normalizeHostname(trimmed);
  const hostname = normalizeHostname(trimmed.slice(0, slash));
  const prefix = trimmed.slice(slash).replace(/\/$/, "");
  if (hostname === null || prefix.length > mostPrefix) return null;
  if (
    prefix !== "" &&
    !prefix
      .slice(1)
      .split("/")
      .every((part) => segment.test(part))
  )
    return null;
  return hostname + prefix;
}

/** A mount as a user writes it, in; as it is stored and compared, out. */
export const Mount = z.string().transform((text, context) => {
  const mount = normalizeMount(text);
  if (mount !== null) return mount;
  const message = `"${text}" is not a DNS hostname, nor one with a plain path behind it such as example.com/shop`;
  context.addIssue({ code: "custom", message });
  return z.NEVER;
});

export function hostnameOfMount(mount: string): string {
  const slash = mount.indexOf("/");
  return slash === -1 ? mount : mount.slice(0, slash);
}

/** "" for a whole hostname. */
export function prefixOfMount(mount: string): string {
  const slash = mount.indexOf("/");
  return slash === -1 ? "" : mount.slice(slash);
}

/** Whether what is mounted at `mount` answers to browsers in the name of the other one's hostname. */
export function sharesHostname(mount: string, other: string): boolean {
  const [hostname, others] = [hostnameOfMount(mount), hostnameOfMount(other)];
  const isCovered = others.startsWith("*.") && hostname.endsWith(others.slice(1));
  return hostname === others || (prefixOfMount(mount) !== "" && isCovered);
}
