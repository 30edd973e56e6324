import { spawn } from "node:child_process";
import { once } from "node:events";
import { dirname } from "node:path";
import { text } from "node:stream/consumers";
import { describe, expect, it } from "vitest";
import { hasFilter, seccompFilter } from "../../../src/apprunner/sandbox/seccomp.ts";
import {
  absentCalls,
  examinedCalls,
  type Numbers,
  refusedCalls,
} from "../../../src/apprunner/sandbox/system-calls.ts";

const audit = { x64: 0xc000003e, arm64: 0xc00000b7 } as const;
const architectures = ["x64", "arm64"] as const;
type Architecture = (typeof architectures)[number];

type Call = { number: number; architecture: number; arguments?: readonly number[] };

/** What the kernel would do with a call: runs the program as Documentation/networking/filter.rst tells. */
function decide(program: Buffer, { number, architecture, arguments: given = [] }: Call): string {
  const data = Buffer.alloc(64);
  data.writeUInt32LE(number, 0);
  data.writeUInt32LE(architecture, 4);
  for (const [index, value] of given.entries())
    data.writeBigUInt64LE(BigInt.asUintN(64, BigInt(value)), 16 + 8 * index);
  let loaded = 0;
  for (let at = 0; at < program.length; at += 8) {
    const [code, jumpTrue, jumpFalse] = [
      program.readUInt16LE(at),
      program.readUInt8(at + 2),
      program.readUInt8(at + 3),
    ];
    const value = program.readUInt32LE(at + 4);
    const branch = (holds: boolean) => 8 * (holds ? jumpTrue : jumpFalse);
    switch (code) {
      case 0x20:
        loaded = data.readUInt32LE(value);
        break;
      case 0x54:
        loaded = (loaded & value) >>> 0;
        break;
      case 0x15:
        at += branch(loaded === value);
        break;
      case 0x35:
        at += branch(loaded >= value);
        break;
      case 0x45:
        at += branch((loaded & value) !== 0);
        break;
      case 0x06:
        return verdict(value);
      default:
        throw new Error(`${code} is no instruction`);
    }
  }
  throw new Error("the program ends without an answer");
}

function verdict(value: number): string {
  if (value === 0x7fff0000) return "allowed";
  if (value === 0x80000000) return "killed";
  return errors[value & 0xffff] ?? String(value);
}

const errors: Record<number, string> = {
  1: "EPERM",
  38: "ENOSYS",
  93: "EPROTONOSUPPORT",
  94: "ESOCKTNOSUPPORT",
  97: "EAFNOSUPPORT",
};

function numbersOf(calls: Record<string, Numbers>, architecture: Architecture): number[] {
  return Object.values(calls).flatMap((numbers) => numbers[architecture] ?? []);
}

describe.each(architectures)("the filter for %s", (name) => {
  const program = seccompFilter(name);
  const architecture = audit[name];
  const of = (call: keyof typeof examinedCalls, ...given: number[]) =>
    decide(program, { number: examinedCalls[call][name], architecture, arguments: given });

  it("refuses each call of its table, says of those that have an older way that they do not exist, and allows every other", () => {
    const [refused, absent] = [numbersOf(refusedCalls, name), numbersOf(absentCalls, name)];
    const examined = numbersOf(examinedCalls, name);
    for (let number = 0; number < 600; number += 1) {
      if (examined.includes(number)) continue;
      const expected = refused.includes(number) ? "EPERM" : absent.includes(number) ? "ENOSYS" : "allowed";
      expect([number, decide(program, { number, architecture })]).toEqual([number, expected]);
    }
    expect(new Set([...refused, ...absent, ...examined]).size).toBe(
      refused.length + absent.length + examined.length,
    );
  });

  it("ends programs of other architectures", () => {
    for (const other of [0x40000003, audit[name === "x64" ? "arm64" : "x64"], 0x40000028]) {
      expect(decide(program, { number: 1, architecture: other })).toBe("killed");
    }
  });

  it("allows clone for threads and children, and none of its new namespaces", () => {
    expect(of("clone", 0x003d0f00)).toBe("allowed"); // pthread_create(3)
    expect(of("clone", 0x01200011)).toBe("allowed"); // fork(3)
    expect(of("clone", 0x00004111)).toBe("allowed"); // vfork(2)
    for (const flag of [0x20000, 0x2000000, 0x4000000, 0x8000000, 0x10000000, 0x20000000, 0x40000000]) {
      expect(of("clone", flag | 0x11)).toBe("EPERM");
    }
  });

  it("allows ioctl but for typing into the terminal, also with bits set that the kernel does not look at", () => {
    expect(of("ioctl", 0, 0x5401)).toBe("allowed");
    for (const command of [0x5412, 0x541c, 0x1_0000_5412]) expect(of("ioctl", 0, command)).toBe("EPERM");
  });

  it("allows the personalities of Linux, and the question for the present one", () => {
    for (const harmless of [0, 8, 0x20000, 0x20008, 0xffffffff])
      expect(of("personality", harmless)).toBe("allowed");
    for (const odd of [0x40000, 0x400000, 0x800000, 4]) expect(of("personality", odd)).toBe("EPERM");
  });

  it.each([
    ["unix", [1, 0x80801, 0], "allowed"],
    ["TCP", [2, 0x80801, 0], "allowed"],
    ["TCP by name, IPv6", [10, 1, 6], "allowed"],
    ["UDP", [2, 2, 17], "allowed"],
    ["ping", [2, 2, 1], "allowed"],
    ["ping, IPv6", [10, 2, 58], "allowed"],
    ["netlink's list of interfaces", [16, 0x80003, 0], "allowed"],
    ["another netlink", [16, 3, 12], "EPROTONOSUPPORT"],
    ["packet", [17, 3, 0], "EAFNOSUPPORT"],
    ["bluetooth", [31, 1, 0], "EAFNOSUPPORT"],
    ["the kernel's cryptography", [38, 5, 0], "EAFNOSUPPORT"],
    ["vsock", [40, 1, 0], "EAFNOSUPPORT"],
    ["TIPC", [30, 5, 0], "EAFNOSUPPORT"],
    ["SCTP by its type", [2, 5, 0], "ESOCKTNOSUPPORT"],
    ["DCCP", [10, 6, 33], "ESOCKTNOSUPPORT"],
    ["SCTP", [2, 1, 132], "EPROTONOSUPPORT"],
    ["MPTCP", [2, 1, 262], "EPROTONOSUPPORT"],
  ] as const)("decides on a socket: %s", (_, given, expected) => {
    expect(of("socket", ...given)).toBe(expected);
  });

  it("allows pairs of unix sockets only", () => {
    expect(of("socketpair", 1, 1, 0)).toBe("allowed");
    expect(of("socketpair", 30, 5, 0)).toBe("EAFNOSUPPORT");
  });
});

describe("the filter", () => {
  it("knows no call by its number of the x32 ABI", () => {
    for (const number of [0, 1, 165, 521]) {
      expect(decide(seccompFilter("x64"), { number: 0x40000000 + number, architecture: audit.x64 })).toBe(
        "ENOSYS",
      );
    }
  });

  it("is refused for an architecture whose numbers are not known", () => {
    expect(hasFilter("s390x")).toBe(false);
    expect(() => seccompFilter("s390x")).toThrow(expect.objectContaining({ code: "ISOLATION_TOO_WEAK" }));
  });
});

/** Runs a program as root in bubblewrap, with all of root's capabilities, so that only the filter refuses. */
async function inBubblewrap(command: readonly string[], filter: Buffer | null): Promise<string> {
  // Behind the private /tmp: whoever has cloned into it has Node there.
  const node = dirname(process.execPath);
  const places = ["--ro-bind", "/", "/", "--dev", "/dev", "--proc", "/proc", "--tmpfs", "/tmp"];
  const view = [...places, "--ro-bind", node, node, "--new-session"];
  const filtered = filter === null ? [] : ["--seccomp", "3"];
  const words = [...view, "--cap-add", "ALL", "--die-with-parent", ...filtered, "--", ...command];
  const child = spawn("bwrap", words, { stdio: ["ignore", "pipe", "pipe", "pipe"] });
  const [, output, problems, descriptor] = child.stdio;
  if (!output || !problems) throw new Error("bwrap has no output");
  if (descriptor && "end" in descriptor) descriptor.on("error", () => {}).end(filter ?? "");
  const [said, problem, [code]] = await Promise.all([text(output), text(problems), once(child, "close")]);
  if (code !== 0) throw new Error(`ended with ${code}: ${problem}${said}`);
  return said;
}

/** Each call with arguments that no call takes: unless it is refused before, it fails for these and does nothing. */
async function outcomes(calls: readonly (readonly [string, number, ...number[]])[], filter: Buffer | null) {
  const attempt = `while (@ARGV) { my @words = split /,/, shift; my $name = shift @words; my ($number, @rest) = map { 0 + $_ } @words; $! = 0;
    my $result = syscall($number, @rest); printf "%s %s\\n", $name, $result < 0 ? 0 + $! : "done" }`;
  const output = await inBubblewrap(["perl", "-e", attempt, ...calls.map((call) => call.join(","))], filter);
  return new Map(
    output
      .trim()
      .split("\n")
      .map((line) => line.split(" ") as [string, string]),
  );
}

const here = process.arch;

describe("in bubblewrap, as root with every capability,", () => {
  if (!hasFilter(here)) throw new Error(`the filter does not know ${here}`);
  const filter = seccompFilter(here);
  const nonsense = [-1, -1, -1, -1, -1, -1];
  const calls = (table: Record<string, Numbers>) =>
    Object.entries(table).flatMap(([name, numbers]) => {
      const number = numbers[here];
      return number === null ? [] : [[name, number, ...nonsense] as const];
    });

  it("each refused call is refused by the kernel", async () => {
    const refused = calls(refusedCalls);
    const found = await outcomes(refused, filter);
    expect([...found]).toEqual(refused.map(([name]) => [name, "1"]));
    const absent = calls(absentCalls);
    expect([...(await outcomes(absent, filter))]).toEqual(absent.map(([name]) => [name, "38"]));
  });

  it("it is the filter that refuses: without it the same calls get to the kernel", async () => {
    const names = ["mount", "unshare", "setns", "ptrace", "bpf", "keyctl", "swapon", "acct", "clone3"];
    const some = [...calls(refusedCalls), ...calls(absentCalls)].filter(([name]) => names.includes(name));
    const found = await outcomes(some, null);
    expect(
      [...found].filter(([, outcome]) => outcome === "1" || outcome === "38" || outcome === "done"),
    ).toEqual([]);
    expect(found.size).toBe(names.length);
  });

  it("namespaces, typing into a terminal, odd personalities and sockets are refused", async () => {
    const { clone, ioctl, personality, socket, socketpair } = examinedCalls;
    const found = await outcomes(
      [
        ["clone", clone[here], 0x10000011, 0, 0, 0, 0],
        ["TIOCSTI", ioctl[here], 0, 0x5412, 0],
        ["personality", personality[here], 0x40000],
        ["personality-asked", personality[here], 0xffffffff],
        ["packet", socket[here], 17, 3, 0],
        ["vsock", socket[here], 40, 1, 0],
        ["algorithms", socket[here], 38, 5, 0],
        ["mptcp", socket[here], 2, 1, 262],
        ["generic-netlink", socket[here], 16, 3, 16],
        ["tcp", socket[here], 2, 1, 0],
        ["route-netlink", socket[here], 16, 3, 0],
        ["pair", socketpair[here], 30, 5, 0, 0],
      ],
      filter,
    );
    expect(Object.fromEntries(found)).toEqual({
      clone: "1",
      TIOCSTI: "1",
      personality: "1",
      "personality-asked": "done",
      packet: "97",
      vsock: "97",
      algorithms: "97",
      mptcp: "93",
      "generic-netlink": "93",
      tcp: "done",
      "route-netlink": "done",
      pair: "97",
    });
  });

  it("Node runs unchanged: threads, children, files, cryptography, compression, names, sockets", async () => {
    const program = `
      import { Worker } from "node:worker_threads";
      import { execFileSync, fork } from "node:child_process";
      import { once } from "node:events";
      import { writeFileSync, readFileSync, watch } from "node:fs";
      import { readFile, writeFile } from "node:fs/promises";
      import { scrypt, generateKeyPairSync } from "node:crypto";
      import { gzipSync, gunzipSync } from "node:zlib";
      import { lookup } from "node:dns/promises";
      import { networkInterfaces } from "node:os";
      import { promisify } from "node:util";
      import { createServer, connect } from "node:net";
      const said = [];
      const worker = new Worker("require('node:worker_threads').parentPort.postMessage('thread')", { eval: true, execArgv: [] });
      said.push((await once(worker, "message"))[0]);
      said.push(execFileSync("/bin/sh", ["-c", "echo child | cat"]).toString().trim());
      watch("/tmp", () => {}).close();
      await writeFile("/tmp/a", "file");
      said.push(await readFile("/tmp/a", "utf8"));
      await promisify(scrypt)("a", "b", 32);
      generateKeyPairSync("ec", { namedCurve: "P-256" });
      said.push(gunzipSync(gzipSync("zlib")).toString());
      said.push((await lookup("localhost", 4)).address);
      said.push(typeof networkInterfaces().lo);
      const server = createServer((socket) => socket.end("net")).listen(0, "127.0.0.1");
      await once(server, "listening");
      const [answer] = await once(connect(server.address().port, "127.0.0.1"), "data");
      said.push(String(answer));
      server.close();
      console.log(said.join(" "));`;
    const output = await inBubblewrap([process.execPath, "--input-type=module", "-e", program], filter);
    expect(output.trim()).toBe("thread child file zlib 127.0.0.1 object net");
  });

  it("shells, setpriv and Perl run unchanged, and become another user", async () => {
    const identity = ["--reuid", "29993", "--regid", "29993", "--clear-groups", "--no-new-privs"];
    const words = [
      "setpriv",
      ...identity,
      "sh",
      "-c",
      "perl -e 'print fork ? (wait, \"parent\")[1] : exit' | cat; id -u",
    ];
    expect(await inBubblewrap(words, filter)).toBe("parent29993\n");
  });
});
