import { execFileSync } from "node:child_process";
import { randomBytes } from "node:crypto";
import { rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type TestApp, TestEndpoint } from "../support/data-endpoint.ts";

const megabyte = 1024 * 1024;
let endpoint: TestEndpoint;
let app: TestApp;
let disk: string;
beforeAll(async () => {
  endpoint = await TestEndpoint.start();
  disk = join(endpoint.local.directory, "data");
  await endpoint.local.kill("SIGTERM");
  execFileSync("mount", ["-t", "tmpfs", "-o", "size=24m", "tmpfs", disk]);
  await endpoint.local.serve();
  app = await endpoint.app("shop");
});
afterAll(async () => {
  await endpoint.local.kill();
  execFileSync("umount", [disk]);
  await endpoint[Symbol.asyncDispose]();
});

describe("a full disk", () => {
  it("refuses writes with 507, is told of, and takes them again when there is room, without a restart", async () => {
    const ballast = join(disk, "ballast");
    const text = () => randomBytes(75_000).toString("base64");
    expect((await app.ask("PUT", "/first", { text: text() })).status).toBe(201);
    writeFileSync(ballast, Buffer.alloc(14 * megabyte));
    const acknowledged = ["first"];
    let refused = await app.ask("PUT", "/n0", { text: text() });
    for (let n = 1; refused.status === 201; n += 1) {
      acknowledged.push(`n${n - 1}`);
      refused = await app.ask("PUT", `/n${n}`, { text: text() });
    }
    expect([refused.status, refused.json().error]).toEqual([507, "insufficient_storage"]);
    expect((await app.ask("GET", "/first")).status).toBe(200);
    const { error } = await endpoint.untilLocal((local) => local.error !== null);
    expect(error).toBe("the disk is full: shop cannot be written");
    const { pid } = endpoint.local;
    rmSync(ballast);
    expect((await app.ask("PUT", "/after", {})).status).toBe(201);
    await endpoint.untilLocal((local) => local.error === null && local.isWell === true);
    expect([endpoint.local.pid, endpoint.local.hasEnded]).toEqual([pid, false]);
    const { rows } = (await app.ask("GET", "/_all_docs")).json();
    const ids = new Set(rows.map(({ id }: { id: string }) => id));
    expect(acknowledged.filter((id) => !ids.has(id))).toEqual([]);
  });
});
