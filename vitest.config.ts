import { join } from "node:path";
import { defineConfig } from "vitest/config";

export default defineConfig({
  test: {
    include: ["test/**/*.test.ts"],
    exclude: ["test/fixtures/**", "node_modules/**"],
    reporters: ["default", "./test/support/skip-reporter.ts"],
    pool: "forks",
    maxWorkers: 2,
    // As `bin/maestro` sets it: most of what a process of Maestro's needs to start is to compile its sources.
    env: { NODE_COMPILE_CACHE: join(import.meta.dirname, ".cache") },
    // Real processes on slow machines: a wait that never ends is what these limits are for, not a measure.
    testTimeout: 90_000,
    hookTimeout: 90_000,
  },
});
