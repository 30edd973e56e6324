import { expect, test } from "vitest";
import { bandwidth } from "../../../src/apprunner/cgroup/cpu.ts";

test.each([
  [1, 1000, 100_000],
  [5, 5000, 100_000],
  [10, 5000, 50_000],
  [33, 6600, 20_000],
  [100, 20_000, 20_000],
  [250, 50_000, 20_000],
])("%d%% of a core are %d of %d µs", (percent, quota, period) => {
  expect(bandwidth(percent)).toEqual({ quota, period });
});
