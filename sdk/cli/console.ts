import { spawnSync } from "node:child_process";
import type { Console } from "./terminal.ts";

const signals = ["SIGINT", "SIGTERM", "SIGHUP", "SIGQUIT"] as const;

/** The streams of this process. Its input is opened by those who ask for it. */
export function processConsole(): Console {
  const { stdout } = process;
  return {
    get isTerminal() {
      return process.stdin.isTTY === true && stdout.isTTY === true;
    },
    get size() {
      // One that does not know its size says 0.
      return { columns: stdout.columns || 80, rows: stdout.rows || 24 };
    },
    input(until) {
      const { stdin } = process;
      // Whoever waits for a key would keep the process alive.
      until.addEventListener("abort", () => stdin.destroy(), { once: true });
      return stdin;
    },
    write: (stream, bytes) =>
      new Promise((resolve) => {
        process[stream].write(bytes, () => resolve()); // an error ends the process, see terminal.ts
      }),
    raw() {
      const { stdin } = process;
      stdin.setRawMode(true);
      // Node leaves the translation of newlines on, which would move the cursor of programs that draw. What it restores
      // at the end holds this as well. Without stty(1) it stays as Node makes it.
      spawnSync("stty", ["-opost"], { stdio: ["inherit", "ignore", "ignore"] });
      // Also when the process ends in the midst of it; Node does the same for the signals that end a process.
      const restore = () => void stdin.setRawMode(false);
      process.once("exit", restore);
      return () => {
        process.off("exit", restore);
        restore();
      };
    },
    onResize(listener) {
      stdout.on("resize", listener);
      return () => stdout.off("resize", listener);
    },
    onSignal(listener) {
      for (const signal of signals) process.on(signal, listener);
      return () => {
        for (const signal of signals) process.off(signal, listener);
      };
    },
  };
}
