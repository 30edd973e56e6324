import type { Command } from "commander";
import { describe, expect, it } from "vitest";
import packageJson from "../../../package.json" with { type: "json" };
import type { Parts } from "../../../sdk/cli/command-line.ts";
import { buildProgram } from "../../../sdk/cli/program.ts";
import { ownVersion } from "../../../src/lib/own-version.ts";
import { FakeServer, noConsole, runCli } from "../support.ts";

const silent = { isTTY: false, columns: 100, write: () => {} };
const parts: Parts = {
  version: "0",
  terminal: {
    console: noConsole,
    env: {},
    stdout: silent,
    stderr: silent,
    readInput: async () => "",
    now: () => 0,
    onInterrupt: () => () => {},
  },
  connect: () => new FakeServer(),
  project: async () => ({}),
  remember: async () => {},
  serve: async () => {},
  check: () => Promise.reject(new Error("nothing to check")),
  stopWithoutServer: () => Promise.reject(new Error("nothing to stop")),
  doctor: async () => [],
  install: async () => ({ dryRun: false, units: [], ran: [], notes: [], next: [] }),
};

/** "deploy", "domains", "domains add", … */
function namesOf(command: Command, before: string[] = []): string[][] {
  return command.commands.flatMap((child) => {
    const path = [...before, child.name()];
    return [path, ...namesOf(child, path)];
  });
}
const commands = namesOf(await buildProgram(parts));

describe("--help", () => {
  it("lists the commands", async () => {
    const { stdout } = await runCli(["--help"]);
    for (const name of [
      "serve",
      "deploy",
      "restart",
      "apps",
      "ps",
      "status",
      "logs",
      "domains",
      "remove",
      "stop",
      "doctor",
      "install",
    ]) {
      expect(stdout).toMatch(new RegExp(`^  ${name}\\b`, "m"));
    }
    expect(stdout).toContain("Exit codes:");
  });

  for (const path of commands) {
    it(`explains ${path.join(" ")}, with an example that is right`, async () => {
      const { stdout, code } = await runCli([...path, "--help"]);
      expect(code).toBe(0);
      expect(stdout).toContain("--json");
      const examples = stdout.slice(stdout.search(/\nExamples?:\n/)).match(/^ {2}maestro .*$/gm) ?? [];
      expect(examples.length).toBeGreaterThan(0);
      for (const example of examples) {
        const [words = ""] = example.trim().split(" < "); // The rest is for the shell.
        expect(await usageOf(words.split(" ").slice(1))).not.toBe(2);
      }
    });
  }
});

/** The exit code of a command line that is only parsed: everything that it asks for fails. */
async function usageOf(argv: string[]): Promise<number> {
  const connect = () => {
    throw new Error("only parsed");
  };
  return (await runCli(argv, undefined, { connect })).code;
}

describe("a command that is called", () => {
  it.each(commands.filter((path) => path.length === 1))(
    "is there when only its file is loaded: %s",
    async (name) => {
      const names = namesOf(await buildProgram(parts, { called: name })).map(([first]) => first);
      expect(names).toContain(name);
      expect(names.length).toBeLessThan(commands.length);
    },
  );
});

describe("--version", () => {
  it("is the one of package.json", async () => {
    expect((await runCli(["--version"])).stdout).toBe("9.8.7\n");
    expect(ownVersion).toBe(packageJson.version);
  });
});
