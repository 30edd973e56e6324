import { describe, expect, it } from "vitest";
import { judge, type WorkerProgram } from "../../src/control/worker-program.ts";
import { WorkerStatus } from "../../src/protocol/worker.ts";

const wanted: WorkerProgram = {
  entry: "/opt/maestro/worker.js",
  version: "2.0.0",
  settings: {
    listen: [{ port: 80 }],
    holdMs: 10_000,
    answerMs: 60_000,
    trustedProxies: [],
    accessLog: false,
  },
  count: 2,
};

/** A worker as it is wanted, but for what is said. */
const running = ({
  settings = {},
  ...changes
}: {
  settings?: object;
  version?: string;
  addresses?: object[];
}) =>
  WorkerStatus.parse({
    v: 1,
    pid: 4242,
    addresses: [{ host: "::", port: 80 }],
    connections: 0,
    requests: 0,
    inFlight: {},
    version: "2.0.0",
    settings: { ...wanted.settings, control: "/run/1.sock", ...settings },
    ...changes,
  });

describe("a worker that runs already", () => {
  it.each([
    ["as wanted", {}, "keep"],
    ["of another version", { version: "1.9.0" }, "replace"],
    ["with another setting", { settings: { holdMs: 5000 } }, "replace"],
    [
      "that asked for any port, and has the one that is wanted",
      { settings: { listen: [{ port: 0 }] } },
      "keep",
    ],
    [
      "on another port",
      { settings: { listen: [{ port: 8000 }] }, addresses: [{ host: "::", port: 8000 }] },
      "let go",
    ],
    [
      "on one address only",
      {
        settings: { listen: [{ host: "127.0.0.1", port: 80 }] },
        addresses: [{ host: "127.0.0.1", port: 80 }],
      },
      "let go",
    ],
    [
      "on one address more",
      {
        addresses: [
          { host: "::", port: 80 },
          { host: "::", port: 81 },
        ],
        settings: { listen: [{ port: 80 }, { port: 81 }] },
      },
      "let go",
    ],
  ])("%s", (_, changes, verdict) => {
    expect(judge(running(changes), wanted)).toBe(verdict);
  });

  it("of a version that did not tell its settings is replaced when it listens as wanted", () => {
    const { version: _version, settings: _settings, ...old } = running({});
    expect(judge(WorkerStatus.parse(old), wanted)).toBe("replace");
  });

  it("anywhere is kept where any free port will do", () => {
    const anyPort = { ...wanted, settings: { ...wanted.settings, listen: [{ host: "127.0.0.1", port: 0 }] } };
    const worker = running({
      settings: { listen: [{ host: "127.0.0.1", port: 0 }] },
      addresses: [{ host: "127.0.0.1", port: 41_234 }],
    });
    expect(judge(worker, anyPort)).toBe("keep");
  });
});
