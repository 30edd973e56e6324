import { expect, test } from "vitest";
import { Serializer } from "../../src/lib/serialize.ts";

test("tasks of one key run one after the other, in the order in which they came", async () => {
  const serializer = new Serializer<string>();
  const events: string[] = [];
  const task = (name: string) =>
    serializer.run("app", async () => {
      events.push(`${name} began`);
      await new Promise(setImmediate);
      events.push(`${name} ended`);
      return name;
    });
  expect(await Promise.all([task("a"), task("b"), task("c")])).toEqual(["a", "b", "c"]);
  expect(events).toEqual(["a began", "a ended", "b began", "b ended", "c began", "c ended"]);
});

test("another key does not wait", async () => {
  const serializer = new Serializer<string>();
  const gate = Promise.withResolvers<void>();
  const held = serializer.run("one", () => gate.promise);
  expect(await serializer.run("two", async () => "done")).toBe("done");
  gate.resolve();
  await held;
});

test("a task that fails tells its caller, and the next one runs", async () => {
  const serializer = new Serializer<string>();
  const failing = serializer.run("app", () => Promise.reject(new Error("no")));
  const next = serializer.run("app", async () => "yes");
  await expect(failing).rejects.toThrow("no");
  expect(await next).toBe("yes");
});

test("a key is busy while a task of it runs or waits", async () => {
  const serializer = new Serializer<string>();
  const gate = Promise.withResolvers<void>();
  const tasks = [serializer.run("app", () => gate.promise), serializer.run("app", async () => {})];
  expect([serializer.isBusy("app"), serializer.isBusy("other")]).toEqual([true, false]);
  gate.resolve();
  await Promise.all(tasks);
  expect(serializer.isBusy("app")).toBe(false);
});
