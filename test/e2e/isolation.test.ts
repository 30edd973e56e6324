import { spawnSync } from "node:child_process";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import type { Isolation } from "../../src/app/isolation.ts";
import { fixture, repository, TestMaestro } from "../support/maestro.ts";

const isRoot = process.getuid?.() === 0;
const nobody = { uid: 29_993, gid: 29_993 };
/** Whether somebody else may read this repository, and so run it. */
const isOpen =
  isRoot &&
  spawnSync("/bin/cat", [join(repository, "package.json")], { ...nobody, stdio: "ignore" }).status === 0;

/** Deploys an app, and has it tried out what such an app can do. */
async function isolationOf(maestro: TestMaestro): Promise<Isolation> {
  await maestro.deploy("hello", fixture("tenant"));
  const client = await maestro.client();
  await client.call("doctor", {});
  return (await client.call("status", {})).isolation;
}

const allowedBy = ({ attempts }: Isolation) =>
  attempts.filter(({ refused }) => !refused).map(({ dimension, attempt }) => `${dimension}: ${attempt}`);

describe("what apps are kept from", () => {
  it.runIf(isRoot)("as root is everything that was tried, and the next controller knows it", async () => {
    await using maestro = await TestMaestro.start("--isolation", "full");
    const isolation = await isolationOf(maestro);
    expect(isolation).toMatchObject({ level: "full", notes: [] });
    expect(allowedBy(isolation)).toEqual([]);
    expect(Object.values(isolation.holds)).toEqual(Array(7).fill(true));
    await maestro.end("SIGTERM");
    await maestro.serve();
    await (await maestro.client()).call("doctor", {});
    expect((await (await maestro.client()).call("status", {})).isolation).toEqual(isolation);
  });

  it.runIf(isOpen)(
    "as another user is told as it is: files, processes and system calls, no more",
    async () => {
      await using maestro = await TestMaestro.startAs(nobody);
      const isolation = await isolationOf(maestro);
      expect(isolation.level).toBe("userns");
      const { files, processes, user, network, memory, cpu, "system calls": calls } = isolation.holds;
      expect({ files, calls, user, network, memory, cpu }).toEqual({
        files: true,
        calls: true,
        user: false,
        network: false,
        memory: false,
        cpu: false,
      });
      expect(allowedBy(isolation)).toEqual(
        expect.arrayContaining([
          "user: be another's user",
          "network: reach a neighbour's port at 127.0.0.1",
          "network: get the traffic of a neighbour's port",
          "cpu: use more CPU than it may",
        ]),
      );
      // Its processes are out of reach; that it may not start too many of them takes a control group.
      expect(processes).toBe(false);
      expect(allowedBy(isolation).filter((text) => text.startsWith("processes"))).toEqual([
        "processes: start more processes than it may",
      ]);
      expect(isolation.notes.join("\n")).toContain("only root can give each app a user of its own");
    },
  );

  it.runIf(isOpen)("and less than `--isolation` asks for starts nothing, with the reason", async () => {
    await using maestro = await TestMaestro.startAs(nobody, "--isolation", "full");
    await expect(maestro.deploy("hello", fixture("tenant"))).rejects.toMatchObject({
      code: "ISOLATION_TOO_WEAK",
      message: expect.stringContaining("run Maestro as root"),
    });
    expect(await (await maestro.client()).call("ps", {})).toEqual([]);
  });
});
