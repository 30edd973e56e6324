/** An operation and its input, as the table of operations knows them. */
export type OperationCall = { operation: string; input: unknown };

/** Methods that clients of 2012 call; offered besides the table of operations. */
export const methodsOf2012: readonly string[] = ["restart", "register_app", "restart_app"];

/**
 * The calls of 2012, as calls of today: `restart(name, hostname, cb)` and `restart_app(name, cb)` took strings.
 * `register_app({ name, hostname }, cb)` already had the form of today. Null for any other call.
 */
export function callOf2012(method: string, args: readonly unknown[]): OperationCall | null {
  const [name, hostname] = args;
  if (typeof name !== "string") return null;
  switch (method) {
    case "restart":
      return {
        operation: "restart",
        input: typeof hostname === "string" ? { app: name, hostname } : { app: name },
      };
    case "restart_app":
      return { operation: "restart_app", input: { name } };
    default:
      return null;
  }
}
