import { execFile, spawn } from "node:child_process";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { promisify } from "node:util";
import { expect, onTestFinished } from "vitest";

const run = promisify(execFile);

/** Runs a program of Debian's package `systemd`; throws a sentence that says what to install where it is missing. */
export async function runSystemd(program: string, args: readonly string[], options: object = {}) {
  try {
    return await run(program, [...args], { ...options, encoding: "utf8" });
  } catch (error) {
    throw (error as NodeJS.ErrnoException).code === "ENOENT" ? missing(program) : error;
  }
}

export const missing = (program: string) =>
  new Error(`${program} is not on this machine; this test needs it: apt-get install systemd`);

/** A directory that everybody may read, gone when the test has ended. */
export async function temporaryDirectory(): Promise<string> {
  const directory = await mkdtemp(join(tmpdir(), "maestro-service-"));
  onTestFinished(() => rm(directory, { recursive: true, force: true }));
  await run("chmod", ["755", directory]);
  return directory;
}

/** A program in place of systemctl: notes its arguments, a line each call, and answers as it is told. */
export async function recordingSystemctl(
  directory: string,
  answer = "exit 0",
): Promise<{ path: string; calls: string }> {
  const path = join(directory, "systemctl");
  const calls = join(directory, "systemctl.calls");
  await writeFile(path, `#!/bin/sh\necho "$*" >>'${calls}'\n${answer}\n`, { mode: 0o755 });
  return { path, calls };
}

/** The datagram socket of a service manager, whose messages come as lines of JSON; Node cannot make one. */
const manager = `
use IO::Socket::UNIX; use JSON::PP; use Socket;
my $socket = IO::Socket::UNIX->new(Type => SOCK_DGRAM, Local => $ARGV[0]) or die $!;
$| = 1; print "\\"listening\\"\\n";
while (defined $socket->recv(my $message, 65536)) { print encode_json([$message]), "\\n" }
`;

export async function startManager(): Promise<{ path: string; messages: AsyncIterator<string> }> {
  const path = join(await temporaryDirectory(), "notify");
  const child = spawn("perl", ["-e", manager, path], { stdio: ["ignore", "pipe", "inherit"] });
  onTestFinished(() => void child.kill("SIGKILL"));
  const messages = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  expect((await messages.next()).value).toBe('"listening"');
  return { path, messages };
}

/** The lines of the next message that came. */
export async function nextMessage(messages: AsyncIterator<string>): Promise<string[]> {
  const [text]: string[] = JSON.parse((await messages.next()).value);
  return (text ?? "").split("\n").filter((line) => line !== "");
}
