import { describe, expect, it } from "vitest";
import { checkVariables } from "../../src/app/app-config.ts";
import { MaestroError } from "../../src/errors.ts";

/** What is said about these variables; null when they will do. */
function objection(variables: Record<string, string>): string | null {
  try {
    checkVariables(variables);
    return null;
  } catch (error) {
    expect(error).toBeInstanceOf(MaestroError);
    expect(error).toMatchObject({ code: "BAD_INPUT" });
    return (error as MaestroError).message;
  }
}

describe("the variables of an app", () => {
  it("may be any text, with quotes, newlines and signs of the shell", () => {
    expect(objection({ A: "", _b9: 'it\'s $HOME `id` "x"\n\t\\ ü 🙂', PATH: "/bin" })).toBeNull();
  });

  it.each([["9A"], ["my-var"], ["a b"], [""], ["A\nB"], ["ü"], ["__proto__"]])(
    "have no name such as %j",
    (name) => {
      expect(objection(Object.fromEntries([[name, "x"]]))).toMatch(
        /is not a name for an environment variable; use/,
      );
    },
  );

  it("are not those that Maestro sets, for a reason that is told", () => {
    expect(objection({ PORT: "80" })).toBe(
      "PORT cannot be set: Maestro gives each instance a free port of its own",
    );
    expect(objection({ MAESTRO_APP: "x" })).toMatch(
      /^MAESTRO_APP cannot be set: names that begin with MAESTRO_/,
    );
    expect(objection({ APPRUNNER_ENVIRONMENT: "x" })).toMatch(/^APPRUNNER_ENVIRONMENT cannot be set/);
  });

  it("hold no NUL character", () => {
    expect(objection({ KEY: "se\0cret" })).toMatch(/the value of KEY holds a NUL character/);
  });

  it("are as large as an environment can hold, and no larger", () => {
    expect(objection({ A: "x".repeat(32 * 1024) })).toBeNull();
    expect(objection({ A: "x".repeat(32 * 1024 + 1) })).toMatch(/the value of A is 33 KB, and may be 32 KB/);
    const three = { A: "x".repeat(30_000), B: "x".repeat(30_000), C: "x".repeat(30_000) };
    expect(objection(three)).toMatch(/the variables are 88 KB in all, and an environment can hold 64 KB/);
    expect(objection({ QUOTES: "'".repeat(20_000) })).toMatch(/79 KB in all/);
    const many = Object.fromEntries(Array.from({ length: 501 }, (_, index) => [`V${index}`, ""]));
    expect(objection(many)).toMatch(/an app can have 500 variables, these are 501/);
  });

  it("are never shown in what is said about them, nor is a name that may be a value", () => {
    const secret = "postgres://alice:hunter2@db/shop";
    const said = [{ KEY: `${secret}\0` }, { PORT: secret }, { [secret]: "x" }, { BIG: secret.repeat(2000) }];
    for (const variables of said) expect(objection(variables)).not.toContain("hunter2");
    expect(objection({ A: "x", [secret]: "x" })).toMatch(/^the name of variable 2 is not a name/);
  });
});
