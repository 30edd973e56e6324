import { describe, expect, it } from "vitest";
import { markProgram } from "../../../sdk/cli/words.ts";
import { FakeServer, runCli } from "../support.ts";

describe("the words of maestro run", () => {
  it.each([
    ["run shop ls", "run shop -- ls"],
    ["run shop ls --json -h", "run shop -- ls --json -h"],
    ["run shop -- ls --json", "run shop -- ls --json"],
    ["run shop git log -- file", "run shop -- git log -- file"],
    ["run -T shop ls", "run -T shop -- ls"],
    ["run shop -T ls -T", "run shop -T -- ls -T"],
    ["--server box:1 run shop ls --server x", "--server box:1 run shop -- ls --server x"],
    ["run --server=box:1 shop --server box:2 ls", "run --server=box:1 shop --server box:2 -- ls"],
    ["--to m@box run shop ls --all", "--to m@box run shop -- ls --all"],
    ["run shop run", "run shop -- run"],
    ["run shop", "run shop"],
    ["run --help", "run --help"],
    ["run -- shop ls", "run -- shop ls"],
    ["ps shop", "ps shop"],
    ["logs run shop ls", "logs run shop ls"],
    ["", ""],
  ])("%s is %s", (typed, meant) => {
    const words = (line: string) => line.split(" ").filter((word) => word !== "");
    expect(markProgram(words(typed))).toEqual(words(meant));
  });

  it("name a program", async () => {
    expect(await runCli(["run", "shop"])).toMatchObject({
      code: 2,
      stderr: expect.stringContaining("program"),
    });
  });

  it("have no --json, which would be neither the program's output nor a document", async () => {
    const server = new FakeServer();
    const { code, stdout } = await runCli(["--json", "run", "shop", "ls"], server);
    expect([code, JSON.parse(stdout).error.code]).toEqual([2, "BAD_INPUT"]);
    expect(server.calls).toEqual([]);
  });

  it.each([
    [{ exitCode: 0, signal: null }, 0],
    [{ exitCode: 77, signal: null }, 77],
    [{ exitCode: null, signal: "SIGKILL" }, 137],
    [{ exitCode: null, signal: null }, 1],
  ])("are answered by the program's exit code: %j is %i", async (report, expected) => {
    const { code } = await runCli(["run", "shop", "ls"], new FakeServer({ run: () => report }));
    expect(code).toBe(expected);
  });
});
