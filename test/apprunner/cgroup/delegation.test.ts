import { randomBytes } from "node:crypto";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { basename, join } from "node:path";
import { describe, expect, it } from "vitest";
import { Cgroup } from "../../../src/apprunner/cgroup/cgroup.ts";
import { handOn, stemOf } from "../../../src/apprunner/cgroup/delegation.ts";
import { ownHierarchies } from "../../../src/apprunner/cgroup/hierarchies.ts";
import { isRoot } from "../../support/apprunner.ts";
import { said, startIn } from "../../support/cgroups.ts";

const unified = ownHierarchies().find(({ version }) => version === 2);
/** Whichever controller this machine has in v2: the rule of groups with processes is the same for each. */
const controller =
  unified && readFileSync(join(unified.mount, "cgroup.controllers"), "utf8").trim().split(" ").find(Boolean);

/** A group of v2 to which a controller has been handed. */
function handed(skip: (condition: boolean, note?: string) => void) {
  skip(!isRoot, "only root can make a group wherever it likes");
  if (unified === undefined || controller === undefined) {
    skip(true, "no control groups of v2 with a controller are mounted");
    throw new Error("skipped");
  }
  const handedOn = join(unified.own, "cgroup.subtree_control");
  const before = readFileSync(handedOn, "utf8");
  expect(handOn(controller, unified.own, "maestro-test")).toBeNull();
  const group = join(unified.own, `test-${randomBytes(4).toString("hex")}`);
  mkdirSync(group);
  const whole = new Cgroup("test", [{ version: 2, controllers: new Set(["freezer"]), directory: group }]);
  const end = async () => {
    await whole.kill();
    await whole.remove();
    if (!before.includes(controller)) writeFileSync(handedOn, `-${controller}`);
  };
  return { group, controller, whole, [Symbol.asyncDispose]: end };
}

const fixture = join(import.meta.dirname, "leaf.fixture.ts");

describe("a Maestro in a group of v2", () => {
  it("moves into a leaf of it, since a group with controllers below it holds nobody itself", async ({
    skip,
  }) => {
    await using own = handed(skip);
    const maestro = startIn(own.whole, process.execPath, fixture, own.controller, own.group, "maestro-x");
    const told = JSON.parse(await said(maestro));
    expect(told).toMatchObject({ obstacle: null, again: null });
    expect(told.own).toMatch(new RegExp(`/${basename(own.group)}/maestro-x\\.own$`));
    expect(readFileSync(join(own.group, "cgroup.subtree_control"), "utf8").trim()).toBe(own.controller);
    expect(stemOf(join(own.group, "maestro-x.own"), "maestro-x")).toBe(own.group);
  });

  it("moves nobody else, and says who is in its way", async ({ skip }) => {
    await using own = handed(skip);
    const stranger = startIn(own.whole, "sh", "-c", "echo up; exec sleep 1000");
    await said(stranger);
    const maestro = startIn(own.whole, process.execPath, fixture, own.controller, own.group, "maestro-x");
    const { obstacle, own: place } = JSON.parse(await said(maestro));
    expect(obstacle).toMatch(new RegExp(`not Maestro's run in its control group .*\\(${stranger.pid}\\)`));
    expect(basename(place)).toBe(basename(own.group));
  });
});
