#!/usr/bin/env node
import { main } from "../sdk/cli/main.ts";
import { processTerminal } from "../sdk/cli/terminal.ts";
import { readProject, rememberProject } from "../sdk/project.ts";
import { ownVersion } from "../src/lib/own-version.ts";

/** argv → a command. What only a server needs is loaded only by the commands that need it. */
process.exitCode = await main(process.argv.slice(2), {
  version: ownVersion,
  terminal: processTerminal(),
  async connect(options) {
    const { Client } = await import("../sdk/client.ts");
    return new Client(options);
  },
  project: readProject,
  remember: rememberProject,
  async serve(flags) {
    const { serve } = await import("../src/serve.ts");
    await serve(flags, process.env);
  },
  async check(flags) {
    const { check } = await import("../src/check.ts");
    return check(flags, process.env);
  },
  async stopWithoutServer(home) {
    const { endWithoutController } = await import("../src/ending.ts");
    return endWithoutController(home === undefined ? {} : { home }, process.env);
  },
  async doctor() {
    const { examine } = await import("../src/operations/doctor.ts");
    const { defaultHome } = await import("../src/config.ts");
    return examine(defaultHome());
  },
  async install(flags, options) {
    const { install } = await import("../src/service/install.ts");
    return install(flags, options, process.env);
  },
});
