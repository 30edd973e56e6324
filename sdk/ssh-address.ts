import { isIPv6 } from "node:net";
import { MaestroError } from "../src/errors.ts";

/** A server that is reached by SSH. `user` absent: whom ssh_config(5) names. */
export type SshAddress = { user?: string; host: string; port?: number };

const prefix = "ssh://";

/** Whether a server is to be reached by SSH: "ssh://user@host:port". */
export const isSsh = (server: string) => server.startsWith(prefix);

/** "user@server[:port]" as a server for `connect`. Throws `BAD_INPUT`. */
export function sshServer(to: string): string {
  const { user, host, port } = parseSshAddress(to);
  const shown = isIPv6(host) ? `[${host}]` : host;
  return `${prefix}${user === undefined ? "" : `${user}@`}${shown}${port === undefined ? "" : `:${port}`}`;
}

/**
 * "user@server[:port]" or "server[:port]", with or without ssh:// before it; an IPv6 address in brackets. Nothing in it
 * can be an option of ssh or a word of a shell. Throws `BAD_INPUT`.
 */
export function parseSshAddress(text: string): SshAddress {
  const match =
    /^(?:ssh:\/\/)?(?:([A-Za-z0-9_][A-Za-z0-9._-]*)@)?(?:\[([0-9A-Fa-f:]+)\]|([A-Za-z0-9][A-Za-z0-9._-]*))(?::(\d{1,5}))?\/?$/.exec(
      text,
    );
  const host = match?.[2] ?? match?.[3];
  const port = match?.[4] === undefined ? undefined : Number(match[4]);
  const isBad = (match?.[2] !== undefined && !isIPv6(match[2])) || port === 0 || (port ?? 0) > 65535;
  if (match === null || host === undefined || isBad) {
    throw new MaestroError("BAD_INPUT", `"${text}" is not a server; write user@server or user@server:port`, {
      to: text,
    });
  }
  return {
    host,
    ...(match[1] === undefined ? {} : { user: match[1] }),
    ...(port === undefined ? {} : { port }),
  };
}
