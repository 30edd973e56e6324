import { MaestroError } from "../src/errors.ts";

/** `why`: a name of errno(3), or a few words. */
export function unreachable(server: string, why: string | undefined, cause: unknown): MaestroError {
  const message = `cannot reach Maestro at ${server} (${why}): is \`maestro serve\` running? --server or MAESTRO_SERVER names another`;
  return new MaestroError("INTERNAL", message, { server, why }, { cause });
}

export function notMaestro(server: string): MaestroError {
  const message = `what answers at ${server} does not speak as Maestro does; is it the address of \`maestro serve --rpc\`?`;
  return new MaestroError("INTERNAL", message, { server });
}

export function noOperation(server: string, operation: string): MaestroError {
  const message = `the Maestro at ${server} has no operation "${operation}"; is it older than this client?`;
  return new MaestroError("BAD_INPUT", message, { server, operation });
}

export const cutOff = (server: string) =>
  new MaestroError("INTERNAL", `${server} ended the session`, { server, lost: true });

export const closed = (server: string) =>
  new MaestroError("INTERNAL", `the session with ${server} is closed`, { server });

/** What the server said itself stays as it is; that the answer is missing is worth more words. */
export function during(operation: string, reason: MaestroError): MaestroError {
  if (reason.code !== "INTERNAL") return reason;
  const message = `${reason.message} before \`${operation}\` was answered; it may have been done: \`maestro ps\` tells`;
  return new MaestroError("INTERNAL", message, { ...reason.details, operation }, { cause: reason });
}
