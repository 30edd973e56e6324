import { describe, expect, it } from "vitest";
import type { LogLine } from "../../../src/app/reports.ts";
import { MaestroError } from "../../../src/errors.ts";
import { directoryWith, FakeServer, runCli } from "../support.ts";

const failing = (error: unknown) => {
  const fail = () => {
    throw error;
  };
  return new FakeServer({ apps: fail, restart: fail, logs: fail });
};
const exited = new MaestroError("APP_EXITED", "shop exited with code 1 before it was ready", {
  app: "shop",
  exitCode: 1,
  lastLines: ["Error: no database", "\u001b[2Jgone"],
});

describe("the exit code", () => {
  it("is 0 when it is done, and for help and version", async () => {
    for (const argv of [["apps"], ["--help"], ["help", "deploy"], ["deploy", "--help"], ["--version"]]) {
      expect((await runCli(argv, new FakeServer({ apps: () => [] }))).code, argv.join(" ")).toBe(0);
    }
  });

  it("is 1 when it failed, 2 when the input was wrong", async () => {
    expect((await runCli(["apps"], failing(exited))).code).toBe(1);
    expect((await runCli(["apps"], failing(new Error("broken")))).code).toBe(1);
    expect((await runCli(["apps"], failing(new MaestroError("BAD_INPUT", "no")))).code).toBe(2);
  });

  it("is 2 for a wrong usage", async () => {
    for (const argv of [
      [],
      ["apsp"],
      ["apps", "--jsn"],
      ["apps", "extra"],
      ["restart"],
      ["logs", "x", "-n", "many"],
      ["domains", "add", "x"],
    ]) {
      const server = new FakeServer();
      const { code, stdout } = await runCli(argv, server);
      expect({ code, stdout, calls: server.calls }, argv.join(" ")).toEqual({
        code: 2,
        stdout: "",
        calls: [],
      });
    }
  });

  it("is the one of an error of another class with the fields of a server's error", async () => {
    const error = Object.assign(new Error("a bad name"), { code: "BAD_INPUT", details: { app: "X" } });
    expect(await runCli(["apps", "--json"], failing(error))).toMatchObject({
      code: 2,
      stdout: '{"error":{"code":"BAD_INPUT","message":"a bad name","details":{"app":"X"}}}\n',
    });
  });
});

describe("a wrong usage", () => {
  it("is answered with the nearest command or option", async () => {
    expect((await runCli(["statsu"])).stderr).toContain("(Did you mean status?)");
    expect((await runCli(["restrat", "x"])).stderr).toContain("(Did you mean restart?)");
    expect((await runCli(["apps", "--jsno"])).stderr).toContain("(Did you mean --json?)");
    expect((await runCli(["serve", "--htpp", ":80"])).stderr).toContain("(Did you mean --http?)");
  });

  it("names the way to the help", async () => {
    expect((await runCli(["apsp"])).stderr).toContain("`maestro --help`");
  });

  it("is JSON where JSON is asked for, and nothing else", async () => {
    const { stdout, stderr } = await runCli(["statsu", "--json"]);
    expect(JSON.parse(stdout)).toEqual({
      error: { code: "BAD_INPUT", message: "unknown command 'statsu'\n(Did you mean status?)", details: {} },
    });
    expect(stderr).toBe("");
  });
});

describe("--json", () => {
  it("prints what the operation answered as one document", async () => {
    const apps = [{ app: "shop", hostnames: [], urls: [], release: 1, state: "serving", instances: 1 }];
    const { stdout, stderr } = await runCli(["apps", "--json"], new FakeServer({ apps: () => apps }));
    expect(JSON.parse(stdout)).toEqual(apps);
    expect(stderr).toBe("");
  });

  it("prints a failure as one document on standard output", async () => {
    const { stdout, stderr, code } = await runCli(["restart", "shop", "--json"], failing(exited));
    expect(JSON.parse(stdout)).toEqual({
      error: { code: "APP_EXITED", message: exited.message, details: exited.details },
    });
    expect({ stderr, code }).toEqual({ stderr: "", code: 1 });
  });

  it("prints a document a line for logs, recent ones and those that follow", async () => {
    const lines: LogLine[] = ["one", "two"].map((text) => ({
      instance: "web.1",
      release: 1,
      stream: "stdout",
      text,
    }));
    const server = new FakeServer({
      logs: ({ follow }, { onLine }) => {
        if (follow) lines.forEach((line) => void onLine?.(line));
        return { lines: follow ? [] : lines };
      },
    });
    for (const argv of [
      ["logs", "shop", "--json"],
      ["logs", "shop", "-f", "--json"],
    ]) {
      const { stdout } = await runCli(argv, server);
      expect(
        stdout
          .trimEnd()
          .split("\n")
          .map((line) => JSON.parse(line)),
      ).toEqual(lines);
    }
  });
});

describe("a failed deploy", () => {
  it("tells the reason, the app's last lines made harmless, and what to do", async () => {
    const { stderr, stdout, code } = await runCli(["restart", "shop"], failing(exited));
    expect(stderr).toBe(
      [
        "error: shop exited with code 1 before it was ready",
        "  │ Error: no database",
        "  │ \\x1b[2Jgone",
        "what to do: mend what it says above and deploy again; see `maestro logs shop`",
        "",
      ].join("\n"),
    );
    expect({ stdout, code }).toEqual({ stdout: "", code: 1 });
  });
});

describe("Ctrl-C", () => {
  /** A server whose operation ends only by the signal of its call. */
  const endless = (name: string, answers = {}) => {
    const waiting = Promise.withResolvers<void>();
    const server = new FakeServer({
      ...answers,
      [name]: (_input, { signal }) =>
        new Promise((_resolve, reject) => {
          signal?.addEventListener("abort", () => reject(signal.reason));
          waiting.resolve();
        }),
    });
    return { server, waiting: waiting.promise };
  };

  const pressed = async (argv: string[], { server, waiting }: ReturnType<typeof endless>) => {
    let interrupt = () => {};
    const running = runCli(argv, server, { onReady: (press) => (interrupt = press) });
    await waiting;
    interrupt();
    return running;
  };

  it("ends `logs -f` quietly, with 130", async () => {
    const ran = await pressed(["logs", "shop", "-f"], endless("logs"));
    expect(ran).toMatchObject({ code: 130, stdout: "", stderr: "" });
  });

  it("says of a restart that the server goes on with it", async () => {
    const ran = await pressed(["restart", "shop"], endless("restart"));
    expect(ran).toMatchObject({ code: 130, stdout: "" });
    expect(ran.stderr).toContain("the server goes on with this deploy by itself");
  });

  it("says of a deploy the same once the files are sent, in JSON where that is asked for", async () => {
    const path = await directoryWith();
    const directory = await directoryWith({ "app.js": "" }, "shop");
    const ran = await pressed(
      ["deploy", directory, "--json"],
      endless("restart", { incoming: () => ({ path }) }),
    );
    expect(ran.code).toBe(130);
    expect(JSON.parse(ran.stdout)).toMatchObject({
      error: { message: expect.stringContaining("the server goes on") },
    });
  });

  it("says of a deploy that sends its files that nothing was restarted", async () => {
    const directory = await directoryWith({ "app.js": "" }, "shop");
    const path = await directoryWith();
    let interrupt = () => {};
    const server = new FakeServer({
      incoming: () => {
        interrupt();
        return { path };
      },
    });
    const ran = await runCli(["deploy", directory], server, { onReady: (press) => (interrupt = press) });
    expect(ran).toMatchObject({ code: 130, stdout: "" });
    expect(ran.stderr).toContain("nothing was restarted");
    expect(server.calls.map(({ name }) => name)).toEqual(["incoming"]);
  });
});
