import { setImmediate as turn } from "node:timers/promises";
import { main } from "../../../sdk/cli/main.ts";
import { processTerminal } from "../../../sdk/cli/terminal.ts";
import type { CallOptions } from "../../../sdk/operations.ts";

/** The command line as a process of its own, with a server that writes log lines until the call is ended. */
process.exitCode = await main(process.argv.slice(2), {
  version: "0",
  terminal: processTerminal(),
  connect: () => ({ call: writeLines, close() {} }),
  project: async () => ({}),
  remember: async () => {},
  serve: async () => {},
  check: () => Promise.reject(new Error("nothing to check")),
  stopWithoutServer: () => Promise.reject(new Error("nothing to stop")),
  doctor: async () => [],
  install: async () => ({ dryRun: false, units: [], ran: [], notes: [], next: [] }),
});

async function writeLines(
  _name: string,
  _input: object,
  { onLine, signal }: CallOptions = {},
): Promise<never> {
  for (let line = 1; ; line += 1) {
    onLine?.({ instance: "web.1", release: 1, stream: "stdout", text: `line ${line}` });
    await turn();
    signal?.throwIfAborted();
  }
}
