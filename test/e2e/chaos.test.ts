import { expect, it } from "vitest";
import { Chaos } from "../support/chaos.ts";
import { actionNames } from "../support/chaos-actions.ts";
import { seedOfRun } from "../support/chaos-random.ts";

/** Beyond one of each: which ones come again is left to the seed. */
const again = 3;

/** The long form is `npm run bench:chaos`. */
it("what is killed costs the requests inside it and no other, whenever it happens, and nothing is left behind", async () => {
  const seed = seedOfRun();
  console.log(`chaos: CHAOS_SEED=${seed} repeats this run`);
  await using chaos = await Chaos.start(seed);
  const repeated = Array.from({ length: again }, () => chaos.random.pick(actionNames));
  for (const name of chaos.random.shuffled([...actionNames, ...repeated])) {
    const { faults } = await chaos.act(name);
    expect(faults, `when ${name}, with CHAOS_SEED=${seed}`).toEqual([]);
  }
  expect(await chaos.end(), `at the end, with CHAOS_SEED=${seed}`).toEqual([]);
}, 180_000);
