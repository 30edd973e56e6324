// Tries in the sandbox of an app what an app must not be able to do, and writes a line of JSON on each attempt:
// { dimension, attempt, refused, detail }. What it is to be tried on is in TARGETS, as JSON. Imports nothing of Maestro.
import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { connect, createServer } from "node:net";
import { setTimeout as pause } from "node:timers/promises";

const targets = JSON.parse(process.env.TARGETS);

/** What throws or rejects was refused; what answers a string was done, and the string says what came of it. */
async function attempt(dimension, name, act) {
  let refused = true;
  let detail;
  try {
    detail = await act();
    refused = false;
  } catch (error) {
    detail = error.code ?? error.message;
  }
  console.log(JSON.stringify({ dimension, attempt: name, refused, detail: String(detail).slice(0, 200) }));
}

class Refused extends Error {}

const first = (text) => text.trim().split("\n")[0];

// Answers on a port that was given to the neighbour: whether anybody gets through is for others to see,
// as long as the rest of this goes on.
const thief = createServer((socket) => socket.end("the thief\n"))
  .listen(targets.stolen, "127.0.0.1")
  .unref();
const listens = await once(thief, "listening").then(
  () => true,
  () => false,
);
console.log(JSON.stringify({ listens }));

await attempt("files", "read a neighbour's file", () => first(readFileSync(targets.file, "utf8")));
await attempt("files", "read what a neighbour stores", () => first(readFileSync(targets.stored, "utf8")));
await attempt("files", "read what a neighbour left in /tmp", () => first(readFileSync(targets.left, "utf8")));
await attempt("files", "read Maestro's registry", () => readdirSync(targets.state).join(" "));
await attempt(
  "files",
  "read the machine's password hashes",
  () => `${readFileSync("/etc/shadow").length} bytes`,
);
await attempt("files", "write to its own release", () => writeTo("planted.js"));
await attempt("files", "write to the machine's programs", () => writeTo("/usr/bin/planted"));

function writeTo(path) {
  writeFileSync(path, "planted", { flag: "wx" });
  return `${path} was written`;
}

await attempt("processes", "see a neighbour", () => {
  // By what it was started with: in a namespace of its own the number may be anybody's.
  const line = readFileSync(`/proc/${targets.pid}/cmdline`, "utf8");
  if (!line.includes("neighbour.mjs")) throw new Refused("somebody else has its number");
  return line.replaceAll("\0", " ");
});
await attempt("processes", "read a neighbour's environment", () => {
  const found = readFileSync(`/proc/${targets.pid}/environ`, "utf8").includes(targets.secret);
  if (!found) throw new Refused("it is not the neighbour's");
  return "its secret was in it";
});
await attempt("processes", "signal a neighbour", () => {
  if (!readFileSync(`/proc/${targets.pid}/cmdline`, "utf8").includes("neighbour.mjs"))
    throw new Refused("it is not there");
  process.kill(targets.pid, 0);
  return "the kernel would have delivered it";
});
await attempt("processes", "start more processes than it may", async () => {
  const started = [];
  try {
    while (started.length < targets.pids * 2) started.push(await begin("/usr/bin/sleep", "20"));
  } finally {
    for (const child of started) child.kill("SIGKILL");
  }
  return `${started.length} were started, ${targets.pids} are allowed`;
});

async function begin(...[program, ...args]) {
  const child = spawn(program, args, { stdio: "ignore" });
  await once(child, "spawn"); // rejects with EAGAIN
  return child;
}

const status = Object.fromEntries(
  readFileSync("/proc/self/status", "utf8")
    .split("\n")
    .map((line) => line.split(":\t")),
);
await attempt("user", "be another's user", () => {
  const uid = process.getuid();
  if (uid !== targets.maestroUid && uid !== targets.neighbourUid && uid !== 0)
    throw new Refused(`it is uid ${uid}`);
  return `it is uid ${uid}`;
});
await attempt("user", "become root", () => {
  process.setuid(0);
  return "it is root";
});
await attempt("user", "have capabilities", () => {
  const sets = ["CapEff", "CapPrm", "CapBnd", "CapAmb"].map((name) => status[name]);
  if (sets.every((set) => BigInt(`0x${set}`) === 0n)) throw new Refused("every set is empty");
  return sets.join(" ");
});
await attempt("user", "get more rights by a setuid program", () => {
  if (status.NoNewPrivs === "1") throw new Refused("no_new_privs is set");
  return "no_new_privs is not set";
});

for (const [what, port] of [
  ["a neighbour's port", targets.port],
  ["a port of Maestro's own", targets.ours],
]) {
  for (const host of ["127.0.0.1", ...targets.addresses]) {
    await attempt("network", `reach ${what} at ${host}`, () => reach(host, port));
  }
}

async function reach(host, port) {
  const socket = connect({ host, port });
  const late = pause(700, null, { ref: false }).then(() => socket.destroy(new Refused("no answer")));
  late.catch(() => {});
  await once(socket, "connect");
  socket.destroy();
  return "connected";
}

await attempt("system calls", "mount a file system", () =>
  run("/usr/bin/mount", "-t", "tmpfs", "none", "/tmp"),
);
await attempt("system calls", "make a user namespace", () =>
  run("/usr/bin/unshare", "--user", "/usr/bin/true"),
);
for (const [name, numbers] of Object.entries(targets.calls)) {
  await attempt("system calls", name, () => call(...numbers));
}

function run(program, ...args) {
  const { status, error, stderr } = spawnSync(program, args, { encoding: "utf8" });
  if (error) throw error;
  if (status !== 0) throw new Refused(first(stderr));
  return "done";
}

/** perl(1) is on every Debian; it says by its exit code whether the kernel did it. */
function call(...numbers) {
  const code = `exit(syscall(${numbers.map(Number).join(", ")}) < 0 ? 1 : 0)`;
  const { status, error } = spawnSync("/usr/bin/perl", ["-e", code], { stdio: "ignore" });
  if (error) throw error;
  if (status !== 0) throw new Refused("EPERM");
  return "done";
}

// Whether it got more than its share, the control group knows.
for (const until = performance.now() + 250; performance.now() < until; );

// Last, since the kernel may end all of us for it.
await attempt("memory", "take more memory than it may", () => {
  const eater = `const kept = []; for (let i = 0; i < ${targets.megabytes * 2}; i += 8) kept.push(Buffer.alloc(8 << 20, 1))`;
  const { status, signal } = spawnSync(process.execPath, ["--max-old-space-size=4096", "-e", eater], {
    stdio: "ignore",
  });
  if (status !== 0) throw new Refused(signal ?? `exit code ${status}`);
  return `${targets.megabytes * 2} MB were taken, ${targets.megabytes} are allowed`;
});
