import { expect, it } from "vitest";
import { FakeServer, runCli } from "../support.ts";

const processes = [
  { process: "web", wanted: 3, serving: 3, setting: "auto" },
  { process: "worker", wanted: 2, serving: 1, setting: null },
];
const server = () => new FakeServer({ scale: () => ({ app: "shop", processes }) });

it("`maestro scale APP` shows what runs", async () => {
  const asked = server();
  const { stdout } = await runCli(["scale", "shop"], asked);
  expect(asked.calls).toEqual([{ name: "scale", input: { app: "shop" } }]);
  expect(stdout).toBe(
    "PROCESS  WANTED  SERVING  SET TO\nweb      3       3        auto\nworker   2       1        -\n",
  );
});

it("`maestro scale APP TYPE=N` asks for so many", async () => {
  const asked = server();
  await runCli(["scale", "shop", "web=auto", "worker=0", "--wait"], asked);
  const counts = { web: "auto", worker: 0 };
  expect(asked.calls).toEqual([{ name: "scale", input: { app: "shop", counts, wait: true } }]);
});

it.each(["web", "web=", "web=-1", "web=many", "=3", "web=99999"])("refuses %s", async (word) => {
  const asked = server();
  const { code, stderr } = await runCli(["scale", "shop", word], asked);
  expect({ code, calls: asked.calls }).toEqual({ code: 2, calls: [] });
  expect(stderr).toContain("is not TYPE=N or TYPE=auto");
});
