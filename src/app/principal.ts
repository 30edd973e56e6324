/** Who is calling: settled once for a session on a door, and checked against the access that an operation needs. */
export type Principal =
  | { kind: "admin"; via: "unix" | "loopback" | "token" }
  | {
      kind: "key";
      name: string;
      apps: readonly string[];
      /** The SSH connection that it came by; sessions that share one belong to one deploy. */
      connection?: string;
    };

/** `admin`: all of Maestro. `app`: the app that the input names. */
export type Access = "admin" | "app";

export function mayCall(principal: Principal, access: Access, app: string | undefined): boolean {
  if (principal.kind === "admin") return true;
  return access === "app" && app !== undefined && principal.apps.includes(app);
}

/** What a change of an app has to know of who asks for it. */
export type Caller = {
  /** For the log, and for whoever is told `BUSY`. */
  by: string;
  /** The apps that the caller may change; absent: all. */
  apps?: readonly string[];
};

export const callerOf = (principal: Principal): Caller => ({
  by: describePrincipal(principal),
  ...(principal.kind === "key" ? { apps: principal.apps } : {}),
});

/** A principal as people are told of it. */
export const describePrincipal = (principal: Principal) =>
  principal.kind === "key" ? `key ${principal.name}` : `an admin (${principal.via})`;
