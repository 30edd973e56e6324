import type { Reporter, TestCase } from "vitest/node";

/** Says of each skipped test why it was: the default reporter only counts them. */
export default class SkipReporter implements Reporter {
  readonly #skipped: string[] = [];

  onTestCaseResult(test: TestCase): void {
    const result = test.result();
    if (result.state === "skipped")
      this.#skipped.push(`${test.fullName}: ${result.note ?? "no reason given"}`);
  }

  onTestRunEnd(): void {
    for (const line of this.#skipped) console.log(`skipped: ${line}`);
  }
}
