import { execFileSync } from "node:child_process";
import { resolve } from "node:path";
import { expect, it } from "vitest";

const source = resolve(import.meta.dirname, "../../src/lib/descriptors.ts");

/** What a program sees that is started by one to whom its own parent left a descriptor open. */
function descriptorsBelow(handed: number, before: string): string[] {
  const program = `
    import { execFileSync } from "node:child_process";
    ${before}
    console.log(execFileSync("/bin/ls", ["/proc/self/fd"], { encoding: "utf8" }).trim().split("\\n").join(" "));`;
  const parent = `use POSIX (); POSIX::dup2(2, ${handed}); exec @ARGV`;
  const words = [
    process.execPath,
    "--input-type=module",
    "--disable-warning=ExperimentalWarning",
    "-e",
    program,
  ];
  return execFileSync("/usr/bin/perl", ["-e", parent, ...words], { encoding: "utf8" })
    .trim()
    .split(" ");
}

it("a descriptor that Maestro's own parent left open does not come as far as an app", () => {
  const close = `import { closeInherited } from ${JSON.stringify(source)}; closeInherited();`;
  expect(descriptorsBelow(200, "")).toContain("200");
  expect(descriptorsBelow(200, close)).not.toContain("200");
});

it("what is open on purpose stays open", () => {
  const check = `
    import { closeInherited } from ${JSON.stringify(source)};
    import { openSync, fstatSync } from "node:fs";
    const own = openSync("/dev/null", "r");
    closeInherited();
    fstatSync(own); fstatSync(0); fstatSync(1); fstatSync(2);`;
  expect(descriptorsBelow(200, check)).not.toContain("200");
});
