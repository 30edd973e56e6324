import { execFile } from "node:child_process";
import { join } from "node:path";
import { promisify } from "node:util";
import { describe, expect, it } from "vitest";
import type { InstallReport } from "../../../src/app/installation.ts";
import { repository } from "../../support/maestro.ts";
import { runCli } from "../support.ts";

const run = promisify(execFile);
const maestro = join(repository, "bin/maestro");

const installed: InstallReport = {
  dryRun: false,
  units: [
    {
      path: "/u/maestro.service",
      content: "[Unit]\n",
      state: "replaced",
      keptAs: "/u/maestro.service.before",
    },
    { path: "/u/maestro.socket", content: "[Socket]\n", state: "unchanged" },
  ],
  ran: ["systemctl daemon-reload"],
  notes: ["MAESTRO_HTTP: set here"],
  next: [{ command: "systemctl start maestro", does: "start it" }],
};

describe("install", () => {
  it("passes on the options of serve, apart from its own", async () => {
    const ran = await runCli("install --http :80 --http [::1]:81 --access-log --dry-run --now".split(" "));
    expect(ran.installed).toEqual([
      [
        { http: [":80", "[::1]:81"], accessLog: true },
        { dryRun: true, now: true },
      ],
    ]);
    expect((await runCli(["install"])).installed).toEqual([[{}, { dryRun: false, now: false }]]);
  });

  it("says line by line what was done, and what to do next", async () => {
    const { stdout } = await runCli(["install"], undefined, { installation: installed });
    expect(stdout).toBe(
      [
        "replaced   /u/maestro.service, kept what was there as /u/maestro.service.before",
        "unchanged  /u/maestro.socket",
        "ran        systemctl daemon-reload",
        "",
        "# note: MAESTRO_HTTP: set here",
        "",
        "Next:",
        "  # start it",
        "  systemctl start maestro",
        "",
      ].join("\n"),
    );
  });

  it("prints one document with --json", async () => {
    const { stdout } = await runCli(["install", "--json"], undefined, { installation: installed });
    expect(JSON.parse(stdout)).toEqual(installed);
  });
});

describe("bin/maestro install --dry-run", () => {
  it("prints the units", async () => {
    const { stdout } = await run(maestro, [
      "install",
      "--dry-run",
      "--home",
      "/srv/maestro",
      "--http",
      ":80",
    ]);
    expect(stdout).toContain(`\nExecStart=${maestro} serve --home /srv/maestro --http :80\n`);
    expect(stdout).toContain("\nListenStream=80\n");
  });

  it("refuses wrong settings with exit code 2, and says which", async () => {
    await expect(run(maestro, ["install", "--dry-run", "--http", "nowhere"])).rejects.toMatchObject({
      code: 2,
      stdout: "",
      stderr: expect.stringContaining('"nowhere" is not an address'),
    });
  });
});
