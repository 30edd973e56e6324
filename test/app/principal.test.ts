import { expect, test } from "vitest";
import { mayCall, type Principal } from "../../src/app/principal.ts";

const key: Principal = { kind: "key", name: "ann", apps: ["shop"] };

test.each(["unix", "loopback", "token"] as const)("an admin by %s may do everything", (via) => {
  expect(mayCall({ kind: "admin", via }, "admin", undefined)).toBe(true);
  expect(mayCall({ kind: "admin", via }, "app", "shop")).toBe(true);
});

test("a key may do what concerns its own apps", () => {
  expect(mayCall(key, "app", "shop")).toBe(true);
});

test("a key may not do what concerns other apps, no app, or all of Maestro", () => {
  expect(mayCall(key, "app", "other")).toBe(false);
  expect(mayCall(key, "app", undefined)).toBe(false);
  expect(mayCall(key, "admin", "shop")).toBe(false);
  expect(mayCall({ ...key, apps: [] }, "app", "shop")).toBe(false);
});
