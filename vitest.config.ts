import { defineConfig } from "vitest/config";

export default defineConfig({
  test: {
    include: ["test/**/*.test.ts"],
    exclude: ["test/fixtures/**", "node_modules/**"],
    reporters: ["default", "./test/support/skip-reporter.ts"],
    pool: "forks",
    maxWorkers: 2,
    // Real processes on slow machines: a wait that never ends is what these limits are for, not a measure.
    testTimeout: 90_000,
    hookTimeout: 90_000,
  },
});
