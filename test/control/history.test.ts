import { mkdir, mkdtemp, readdir, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { History } from "../../src/control/history.ts";
import { MaestroError } from "../../src/errors.ts";
import { type Log, silentLog } from "../../src/lib/log.ts";
import { Stamps } from "../../src/lib/stamp.ts";

const plainDeploy = { what: "deploy", commit: null } as const;

let home: string;
beforeEach(async () => {
  home = await mkdtemp(join(tmpdir(), "maestro-history-"));
});
afterEach(async () => {
  await rm(home, { recursive: true, force: true });
});

const open = (log: Log = silentLog) => History.open({ home, stamps: new Stamps(), log });
const directory = () => join(home, "state/deploys/shop");

async function deployed(history: History, release: number): Promise<void> {
  const deploy = history.begin({ app: "shop", by: "alice", ...plainDeploy });
  deploy.reached("release");
  deploy.made(release);
  await deploy.done();
}

describe("the history of an app", () => {
  it("tells what was done, the latest first, also to a later process", async () => {
    const history = await open();
    await deployed(history, 1);
    const failing = history.begin({ app: "shop", by: "bob", ...plainDeploy });
    failing.reached("start");
    await failing.failed(new MaestroError("APP_EXITED", "shop exited with code 3"));
    const expected = [
      { by: "bob", outcome: "failed", step: "start", release: null, error: { code: "APP_EXITED" } },
      { by: "alice", outcome: "done", release: 1, error: null },
    ];
    expect(await history.of("shop")).toMatchObject(expected);
    expect(await (await open()).of("shop")).toMatchObject(expected);
    expect((await open()).unfinished).toEqual([]);
  });

  it("has nothing of a deploy that was refused before its first step", async () => {
    const history = await open();
    const deploy = history.begin({ app: "misspelt", by: "alice", ...plainDeploy });
    deploy.reached("check");
    await deploy.failed(new MaestroError("APP_NOT_FOUND", "there is no such app"));
    expect(await readdir(home)).toEqual([]);
  });

  it("remembers the last fifty, and the highest release of all", async () => {
    const history = await open();
    for (let release = 1; release <= 53; release += 1) await deployed(history, release);
    const records = await history.of("shop");
    expect(records.map(({ release }) => release)).toEqual(
      Array.from({ length: 50 }, (_, index) => 53 - index),
    );
    expect((await open()).highestRelease("shop")).toBe(53);
    await history.forget("shop");
    expect(history.highestRelease("shop")).toBe(0);
    expect(await history.of("shop")).toEqual([]);
  });

  it("names what an earlier controller did not end, and when it was last heard of", async () => {
    const deploy = (await open()).begin({ app: "shop", by: "alice", ...plainDeploy });
    deploy.reached("ready");
    await deploy.written();
    const history = await open();
    expect(history.unfinished).toMatchObject([
      { id: deploy.id, step: "ready", process: { pid: process.pid } },
    ]);
    const [record] = history.unfinished;
    if (!record) throw new Error("it is not there");
    await history.conclude(record, "undone");
    expect(history.unfinished).toEqual([]);
    expect(await history.of("shop")).toMatchObject([{ outcome: "undone", endedAt: record.heartbeatAt }]);
  });

  it("leaves out what does not parse, and removes what was torn", async () => {
    await deployed(await open(), 1);
    await mkdir(directory(), { recursive: true });
    for (const [name, text] of [
      ["00000000.json", ""],
      ["00000001.json", '{"v":1,"id":"0000'],
      ["00000002.json", '{"v":9}'],
      ["00000003.json.1234.tmp", "{"],
    ] as const) {
      await writeFile(join(directory(), name), text);
    }
    const history = await open();
    expect(await history.of("shop")).toHaveLength(1);
    await history.removeTorn();
    expect((await readdir(directory())).filter((name) => name.endsWith(".tmp"))).toEqual([]);
  });

  it("that cannot be written is logged, and the deploy goes on", async () => {
    const warnings: string[] = [];
    const history = await open({ ...silentLog, warn: (_facts, event) => void warnings.push(event) });
    await mkdir(join(home, "state"), { recursive: true });
    await writeFile(join(home, "state/deploys"), "in the way");
    const deploy = history.begin({ app: "shop", by: "alice", ...plainDeploy });
    deploy.reached("release");
    await deploy.done();
    expect(warnings).toContain("history.not-written");
  });
});
