/**
 * What kills cost under load, for as long as you like: `npm run bench:chaos -- [MINUTES] [SEED]`.
 *
 * Three apps under steady load, one of them with two instances; things happen to Maestro at moments that follow from
 * the seed. Exits with 1 when a request failed that was not inside a process when that was killed.
 */
import { Chaos, type Cost } from "../test/support/chaos.ts";
import { actionNames } from "../test/support/chaos-actions.ts";
import { seedOfRun } from "../test/support/chaos-random.ts";
import { machine, table } from "./support/table.ts";

const minutes = Number(process.argv[2] ?? 5);
const seed = Number(process.argv[3] ?? seedOfRun());

/** Each action once before any comes again: the rare ones are not left to luck. */
async function untilTimeIsUp(chaos: Chaos): Promise<Cost[]> {
  const costs: Cost[] = [];
  const end = performance.now() + minutes * 60_000;
  while (performance.now() < end) {
    for (const name of chaos.random.shuffled(actionNames)) {
      const cost = await chaos.act(name);
      costs.push(cost);
      for (const fault of cost.faults) console.log(`when ${name}: ${fault}`);
    }
  }
  return costs;
}

function rowOf(name: string, costs: readonly Cost[]): string[] {
  const sum = (value: (cost: Cost) => number) => costs.reduce((total, cost) => total + value(cost), 0);
  const longest = Math.max(...costs.map(({ longestMs }) => longestMs));
  const [requests, lost] = [sum((cost) => cost.requests), sum((cost) => cost.lost)];
  return [name, costs.length, requests, lost, sum((cost) => cost.faults.length), longest.toFixed(0)].map(
    String,
  );
}

console.log(`chaos, ${minutes} minutes, seed ${seed}\n${machine()}\n`);
await using chaos = await Chaos.start(seed);
const costs = await untilTimeIsUp(chaos);
const left = await chaos.end();
const rows = actionNames.map((name) =>
  rowOf(
    name,
    costs.filter(({ action }) => action === name),
  ),
);
console.log(
  table(
    ["", "times", "requests", "lost in it", "wrongly lost", "longest, ms"],
    [...rows, rowOf("all", costs)],
  ),
);
for (const fault of left) console.log(`at the end: ${fault}`);
if (left.length > 0 || costs.some(({ faults }) => faults.length > 0)) process.exitCode = 1;
