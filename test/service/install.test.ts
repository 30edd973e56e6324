import { spawn } from "node:child_process";
import { mkdir, readdir, readFile, symlink, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, it, onTestFinished } from "vitest";
import { readProcess } from "../../src/lib/processes.ts";
import { install } from "../../src/service/install.ts";
import { type Place, placeOf } from "../../src/service/place.ts";
import { repository } from "../support/maestro.ts";
import { recordingSystemctl, temporaryDirectory } from "../support/service.ts";

const write = { dryRun: false, now: false };

/** A systemd that is there only as a directory for its units. */
async function somewhere(): Promise<{ place: Place; flags: { home: string }; directory: string }> {
  const directory = await temporaryDirectory();
  const place: Place = {
    scope: "system",
    unitDirectory: join(directory, "units"),
    environmentFile: join(directory, "environment"),
    systemctl: ["systemctl"],
    running: false,
  };
  return { place, flags: { home: join(directory, "home") }, directory };
}

/** One that runs, and whose systemctl notes what it is told. */
async function somewhereRunning(answer?: string) {
  const { place, ...rest } = await somewhere();
  const { path, calls } = await recordingSystemctl(rest.directory, answer);
  const told = async () => (await readFile(calls, "utf8")).trim().split("\n");
  return {
    ...rest,
    place: { ...place, running: true, systemctl: [path] } satisfies Place,
    told,
    systemctl: path,
  };
}

/** A process that holds the lock of a home as a controller does. */
async function controllerOf(home: string): Promise<number> {
  const child = spawn("cat", { stdio: ["pipe", "ignore", "ignore"] });
  onTestFinished(() => void child.kill("SIGKILL"));
  const { pid = 0 } = child;
  await mkdir(join(home, "run"), { recursive: true });
  await symlink(`${pid}:${readProcess(pid)?.startTime}`, join(home, "run", "controller.lock"));
  return pid;
}

describe("install", () => {
  it("writes the units, of this installation and with these options", async () => {
    const { place, flags } = await somewhere();
    const report = await install({ ...flags, http: [":80"] }, write, {}, place);
    expect(report.units.map(({ path, state }) => [path, state])).toEqual([
      [join(place.unitDirectory, "maestro.service"), "written"],
      [join(place.unitDirectory, "maestro.socket"), "written"],
    ]);
    for (const { path, content } of report.units) expect(await readFile(path, "utf8")).toBe(content);
    const [service, socket] = report.units;
    expect(service?.content).toContain(
      `ExecStart=${repository}/bin/maestro serve --home ${flags.home} --http :80\n`,
    );
    expect(socket?.content).toContain("ListenStream=80\n");
  });

  it("says that systemd is not there, and what is then still to be done", async () => {
    const { place, flags } = await somewhere();
    const { ran, notes, next } = await install(flags, { ...write, now: true }, {}, place);
    expect({ ran, notes }).toEqual({ ran: [], notes: [expect.stringMatching(/^systemd does not run here/)] });
    expect(next.map(({ command }) => command)).toEqual([
      "systemctl daemon-reload && systemctl enable maestro",
      "systemctl start maestro",
    ]);
  });

  it("touches nothing in a dry run", async () => {
    const { place, flags, directory } = await somewhereRunning();
    const report = await install(flags, { dryRun: true, now: true }, {}, place);
    expect(report.units.map(({ state }) => state)).toEqual(["planned", "planned"]);
    expect(await readdir(directory)).toEqual(["systemctl"]);
  });

  it("says that nothing is new the second time", async () => {
    const { place, flags } = await somewhere();
    await install(flags, write, {}, place);
    const { units } = await install(flags, write, {}, place);
    expect(units.map(({ state }) => state)).toEqual(["unchanged", "unchanged"]);
    expect((await readdir(place.unitDirectory)).sort()).toEqual(["maestro.service", "maestro.socket"]);
  });

  it("keeps a unit that it replaces", async () => {
    const { place, flags } = await somewhere();
    const before = await install(flags, write, {}, place);
    const { units } = await install({ ...flags, hold: "3" }, write, {}, place);
    const kept = join(place.unitDirectory, "maestro.service.before");
    expect(units).toMatchObject([{ state: "replaced", keptAs: kept }, { state: "unchanged" }]);
    expect(await readFile(kept, "utf8")).toBe(before.units[0]?.content);
  });

  it("says what to do where it may not write", async () => {
    const { place, flags, directory } = await somewhere();
    await writeFile(join(directory, "units"), "not a directory");
    await expect(install(flags, write, {}, place)).rejects.toMatchObject({
      code: "INTERNAL",
      message: expect.stringMatching(/cannot write .*maestro\.service \(ENOTDIR\).*--dry-run/),
    });
  });
});

describe("the settings", () => {
  it.each([
    [{ http: ["nowhere"] }, /"nowhere" is not an address/],
    [{ workers: "many" }, /workers/],
    [{ http: [":0"] }, /port 0/],
    [{ rpc: ":7272" }, /set --rpc-token/],
    [{ rpcToken: "0123456789abcdef" }, /does not go into a unit.*mode 0600/],
  ])("%j are refused before anything is written", async (wrong, message) => {
    const { place, flags, directory } = await somewhere();
    const refusal = { code: "BAD_INPUT", message: expect.stringMatching(message) };
    await expect(install({ ...flags, ...wrong }, write, {}, place)).rejects.toMatchObject(refusal);
    expect(await readdir(directory)).toEqual([]);
  });

  it("may be in maestro.json and the environment file, as the service will find them", async () => {
    const { place, flags } = await somewhere();
    await mkdir(flags.home);
    await writeFile(join(flags.home, "maestro.json"), JSON.stringify({ http: [":81"] }));
    await writeFile(place.environmentFile, 'MAESTRO_RPC_TOKEN="0123456789abcdef"\n');
    const { units } = await install({ ...flags, rpc: ":7272" }, write, {}, place);
    expect(units[1]?.content).toContain("ListenStream=81\n");
    expect(units[0]?.content).toContain(`EnvironmentFile=-${place.environmentFile}\n`);
    expect(JSON.stringify(units)).not.toContain("0123456789abcdef");
  });

  it("of the environment are named and left out, and no secret of it is shown", async () => {
    const { place, flags } = await somewhere();
    const env = {
      MAESTRO_HTTP: ":99",
      MAESTRO_RPC_TOKEN: "0123456789abcdef",
      MAESTRO_SERVER: "far:1",
      PATH: "/bin",
    };
    const report = await install(flags, { dryRun: true, now: false }, env, place);
    expect(report.notes).toEqual([
      `MAESTRO_HTTP, MAESTRO_RPC_TOKEN: set here, and not for the service; give the option to \`maestro install\`, or write the variable into ${place.environmentFile}`,
    ]);
    expect(report.units[1]?.content).toContain("ListenStream=8000\n");
    expect(JSON.stringify(report)).not.toContain("0123456789abcdef");
  });
});

describe("a systemd that runs", () => {
  it("is told of the units, and to start them at boot, but not now", async () => {
    const { place, flags, told, systemctl } = await somewhereRunning();
    const { ran, next } = await install(flags, write, {}, place);
    expect(await told()).toEqual(["daemon-reload", "enable maestro.service"]);
    expect(ran).toEqual([`${systemctl} daemon-reload`, `${systemctl} enable maestro.service`]);
    expect(next[0]?.command).toBe(`${systemctl} start maestro`);
  });

  it("starts it with --now", async () => {
    const { place, flags, told } = await somewhereRunning();
    await install(flags, { ...write, now: true }, {}, place);
    expect(await told()).toEqual(["daemon-reload", "enable maestro.service", "start maestro.service"]);
  });

  it("does not start it beside a Maestro that serves the same home", async () => {
    const { place, flags, told, systemctl } = await somewhereRunning();
    const pid = await controllerOf(flags.home);
    const { notes, next } = await install(flags, { ...write, now: true }, {}, place);
    expect(await told()).toEqual(["daemon-reload", "enable maestro.service"]);
    expect(notes).toEqual([
      `Maestro already serves ${flags.home}, as process ${pid}, which systemd did not start`,
    ]);
    expect(next[0]?.command).toBe(`kill ${pid} && ${systemctl} start maestro`);
  });

  it("is believed when it refuses", async () => {
    const { place, flags } = await somewhereRunning(
      '[ "$1" != enable ] || { echo "it is masked" >&2; exit 1; }',
    );
    await expect(install(flags, write, {}, place)).rejects.toMatchObject({
      code: "INTERNAL",
      message: expect.stringMatching(
        /the units are written, and then `.* enable maestro.service` failed: it is masked$/,
      ),
    });
  });
});

describe("whoever is not root", () => {
  it("has a systemd of their own", () => {
    const env = { XDG_CONFIG_HOME: "/c", XDG_RUNTIME_DIR: "/nowhere" };
    expect(placeOf(env, 1000)).toEqual({
      scope: "user",
      unitDirectory: "/c/systemd/user",
      environmentFile: "/c/maestro/environment",
      systemctl: ["systemctl", "--user"],
      running: false,
    });
    expect(placeOf({}, 0)).toMatchObject({ scope: "system", unitDirectory: "/etc/systemd/system" });
  });
});
