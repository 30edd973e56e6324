import { type ChildProcess, type SpawnOptions, spawn } from "node:child_process";

/**
 * Starts a program as nobody's child: a shell in between forks it and ends, so that init is its parent. This process may
 * become its next version by execve(2), which knows nothing of children and would leave each of them a zombie. What is
 * returned is the shell: its end says nothing; an "ipc" channel among `stdio` leads to the program itself.
 */
export function spawnOrphan(
  program: string,
  args: readonly string[],
  options: Pick<SpawnOptions, "env" | "stdio" | "cwd">,
): ChildProcess {
  return spawn("/bin/sh", ["-c", '"$@" &', "sh", program, ...args], { ...options, detached: true });
}
