import { chmod, cp, mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { loadConfig } from "../../src/config.ts";
import { endedForGood } from "../../src/service/exit-status.ts";
import { renderService, renderSocket, type Scope } from "../../src/service/unit.ts";
import { repository } from "../support/maestro.ts";
import { runSystemd, temporaryDirectory } from "../support/service.ts";

const launcher = join(repository, "bin/maestro");

function planFor(flags: Record<string, unknown>, scope: Scope = "system", program = launcher) {
  const config = loadConfig(flags, {});
  return { scope, launcher: program, config, flags, environmentFile: "/etc/maestro/100% environment" };
}

/** A manager that only reads units and prints what it has understood: systemd(1) --test, which refuses root. */
async function commandLineOf(unit: string): Promise<string[]> {
  const directory = await temporaryDirectory();
  for (const target of ["basic", "sysinit", "shutdown"]) {
    await writeFile(join(directory, `${target}.target`), "[Unit]\nDefaultDependencies=no\n");
  }
  await writeFile(join(directory, "maestro.service"), unit);
  const runtime = join(directory, "run");
  await mkdir(runtime);
  await chmod(runtime, 0o777);
  const env = { XDG_RUNTIME_DIR: runtime, HOME: runtime, SYSTEMD_UNIT_PATH: directory };
  const nobody = process.getuid?.() === 0 ? { uid: 65534, gid: 65534 } : {};
  const words = ["--user", "--test", "--unit=maestro.service"];
  const { stdout } = await runSystemd("/lib/systemd/systemd", words, { env, ...nobody, maxBuffer: 1 << 24 });
  const line = /-> ExecStart:\s+Command Line: (.*)/.exec(stdout)?.[1] ?? "";
  return (line.match(/"(?:\\.|[^"\\])*"|\S+/g) ?? []).map(unquote);
}

/** A word as systemd prints it; `$$` is what it makes one dollar of as it starts the program. */
function unquote(word: string): string {
  const plain: string = word.startsWith('"') ? JSON.parse(word.replace(/\\([$`])/g, "$1")) : word;
  return plain.replaceAll("$$", "$");
}

describe("the units", () => {
  for (const scope of ["system", "user"] as const) {
    it(`are well-formed in the eyes of systemd (${scope})`, async () => {
      const directory = await temporaryDirectory();
      const program = join(directory, "a b%h$x é", "bin", "maestro");
      await cp(launcher, program);
      const flags = { home: "/srv/a b%h\"c'", http: [":80", "127.0.0.1:8080", "[::1]:81"], domain: "a.test" };
      const plan = planFor(flags, scope, program);
      await writeFile(join(directory, "maestro.service"), renderService(plan));
      await writeFile(join(directory, "maestro.socket"), renderSocket(plan));
      const units = [join(directory, "maestro.service"), join(directory, "maestro.socket")];
      const words = ["verify", ...(scope === "user" ? ["--user"] : []), ...units];
      const env = { PATH: process.env["PATH"], HOME: directory, XDG_RUNTIME_DIR: directory };
      const said = await runSystemd("systemd-analyze", words, { env });
      expect(said).toEqual({ stdout: "", stderr: "" });
    });
  }

  it("would not pass that check with a mistake in them", async () => {
    const path = join(await temporaryDirectory(), "maestro.service");
    await writeFile(path, renderService(planFor({ home: "/h" })).replace("KillMode=", "KilMode="));
    expect((await runSystemd("systemd-analyze", ["verify", path])).stderr).toContain("KilMode");
  });

  it("give `serve` its options as they were typed, whatever is in them", async () => {
    const odd = [
      "a b",
      'a"b',
      "it's",
      "\\x41\\",
      "$HOME",
      ["$", "{HOME}"].join(""),
      "$$",
      "100%",
      "%h",
      ";",
      "é",
      "a\tb",
      "#",
      "*",
    ];
    const flags = { home: "/srv/50% $HOME", trustedProxies: odd, accessLog: true, streamDrain: "5" };
    expect(await commandLineOf(renderService(planFor(flags)))).toEqual([
      launcher,
      ...["serve", "--home", flags.home],
      ...odd.flatMap((value) => ["--trusted-proxies", value]),
      ...["--access-log", "--stream-drain", "5"],
    ]);
  });

  it("spell out the home, which a relative path does not", () => {
    const service = renderService(planFor({ home: "here" }));
    expect(service).toContain(`--home ${join(process.cwd(), "here")}\n`);
    expect(service).toContain(`--server ${join(process.cwd(), "here/run/maestro.sock")} reload\n`);
  });

  it("leave time for a stop that ends everything", () => {
    const service = renderService(planFor({ home: "/h", requestDrain: "100", stopGrace: "50" }));
    expect(service).toMatch(/^TimeoutStopSec=165$/m);
  });

  it("let `maestro stop` be the end, and any other end not", () => {
    const service = renderService(planFor({ home: "/h" }));
    expect(service).toMatch(/^Restart=always$/m);
    expect(service).toMatch(new RegExp(`^RestartPreventExitStatus=${endedForGood}$`, "m"));
    expect(service).toMatch(new RegExp(`^SuccessExitStatus=${endedForGood}$`, "m"));
  });

  it("do not let an app speak for a Maestro that is root", () => {
    expect(renderService(planFor({ home: "/h" }, "system"))).toMatch(/^NotifyAccess=main$/m);
    expect(renderService(planFor({ home: "/h" }, "user"))).toMatch(/^NotifyAccess=all$/m);
  });
});

describe("the socket unit", () => {
  it("listens where --http says", () => {
    const socket = renderSocket(planFor({ home: "/h", http: ":80,0.0.0.0:81,[::1]:82" }));
    expect(socket.match(/^ListenStream=.*$/gm)).toEqual([
      "ListenStream=80",
      "ListenStream=0.0.0.0:81",
      "ListenStream=[::1]:82",
    ]);
  });

  it.each([
    [":0", /port 0 is another one at each start/],
    ["localhost:80", /not on names; write for example 127\.0\.0\.1:80/],
  ])("refuses %s, which systemd cannot hold", (http, message) => {
    expect(() => renderSocket(planFor({ home: "/h", http }))).toThrow(message);
  });
});
