import { join } from "node:path";
import { parseEnv } from "node:util";
import { describe, expect, it } from "vitest";
import { directoryWith, FakeServer, runCli } from "../support.ts";

const changed = { app: "shop", config: 3, changed: ["A"], deploy: null };
const answering = () => new FakeServer({ config_set: () => changed, config_unset: () => changed });

async function setBy(argv: string[], input = ""): Promise<object | undefined> {
  const server = answering();
  const { code } = await runCli(["config", "set", "shop", ...argv], server, { input });
  return code === 0 ? (server.calls[0]?.input["set"] as object) : undefined;
}

describe("maestro config set", () => {
  it("takes NAME=VALUE, the value from the first = to the end", async () => {
    expect(await setBy(["A=1", "B=x=y z", "C="])).toEqual({ A: "1", B: "x=y z", C: "" });
  });

  it("reads the value of NAME=- from standard input, without the last line feed", async () => {
    expect(await setBy(["A=-", "B=2"], "two\nlines\n")).toEqual({ A: "two\nlines", B: "2" });
  });

  it("reads a file, above which stands what was typed", async () => {
    const directory = await directoryWith({
      ".env": "# keys\nA=file\nexport B='two\nlines'\nC=\"x\" # note\n",
    });
    expect(await setBy(["--file", join(directory, ".env"), "A=typed"])).toEqual({
      A: "typed",
      B: "two\nlines",
      C: "x",
    });
  });

  it("refuses what is no assignment, before the server is asked, and does not repeat it", async () => {
    for (const argv of [
      ["hunter2"],
      ["=hunter2"],
      ["A=1", "A=hunter2"],
      ["A=-", "B=-"],
      ["--file", "/nowhere/.env"],
      [],
    ]) {
      const server = answering();
      const { code, stderr, stdout } = await runCli(["config", "set", "shop", ...argv], server, {
        input: "hunter2",
      });
      expect({ code, stdout, calls: server.calls }, argv.join(" ")).toEqual({
        code: 2,
        stdout: "",
        calls: [],
      });
      expect(stderr).not.toContain("hunter2");
    }
  });

  it("says what changed and that it waits, without a value", async () => {
    const { stdout } = await runCli(["config", "set", "shop", "A=hunter2", "--wait"], answering());
    expect(stdout).toBe(
      "Config c3: changed A.\nNothing of shop serves: it is in force from the next deploy on.\n",
    );
  });
});

it("`maestro config unset` names the variables", async () => {
  const server = answering();
  await runCli(["config", "unset", "shop", "A", "B", "--wait"], server);
  expect(server.calls).toEqual([
    { name: "config_unset", input: { app: "shop", names: ["A", "B"], wait: true } },
  ]);
});

describe("maestro config", () => {
  const values = { A: "plain", B: "two words", C: "it's", D: "a\nb", E: "", F: `"'`, G: "\u001b[2J" };
  const server = () => new FakeServer({ config: () => ({ app: "shop", config: 1, values }) });

  it("prints what an .env file says, so that it can be read back", async () => {
    const { stdout } = await runCli(["config", "shop"], server());
    expect(parseEnv(stdout)).toEqual(values);
  });

  it("shows a terminal nothing that it would obey", async () => {
    const { stdout } = await runCli(["config", "shop"], server(), { tty: true });
    expect(stdout).not.toContain("\u001b");
    expect(stdout).toContain("D='a\\x0ab'");
  });

  it("prints JSON", async () => {
    const { stdout } = await runCli(["config", "shop", "--json"], server());
    expect(JSON.parse(stdout)).toEqual({ app: "shop", config: 1, values });
  });
});
