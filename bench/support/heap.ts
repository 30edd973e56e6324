import { once } from "node:events";
import { setTimeout as pause } from "node:timers/promises";
import { z } from "zod";

/** Where Node's inspector listens when SIGUSR1 starts it: https://nodejs.org/api/process.html#signal-events */
const inspector = "http://127.0.0.1:9229/json";
const attempts = 200;

const Targets = z.tuple([z.object({ webSocketDebuggerUrl: z.string() })]);
const Answer = z.object({ id: z.int(), result: z.looseObject({ usedSize: z.number().optional() }) });

/**
 * What a Node process has in use on its heap after a collection of garbage, in MiB: resident memory also holds what
 * V8 has not given back yet. One process at a time; the port of the inspector has to be free.
 */
export async function heapInUseMiB(pid: number): Promise<number> {
  process.kill(pid, "SIGUSR1");
  const socket = new WebSocket(await untilThere());
  await once(socket, "open");
  try {
    await ask(socket, "HeapProfiler.collectGarbage");
    await ask(socket, "HeapProfiler.collectGarbage"); // What the first has finalised goes with the second.
    const { usedSize = Number.NaN } = await ask(socket, "Runtime.getHeapUsage");
    // It is the process's own, and closes while it answers: no answer comes.
    send(socket, "Runtime.evaluate", {
      expression: "setTimeout(() => process.getBuiltinModule('inspector').close())",
    });
    await once(socket, "close");
    return usedSize / 1024 ** 2;
  } finally {
    socket.close();
  }
}

async function untilThere(): Promise<string> {
  for (let attempt = 0; attempt < attempts; attempt += 1) {
    const response = await fetch(inspector).catch(() => null); // Not there yet.
    if (response) return Targets.parse(await response.json())[0].webSocketDebuggerUrl;
    await pause(10);
  }
  throw new Error(`no inspector answers at ${inspector}`);
}

let lastId = 0;

function send(socket: WebSocket, method: string, params: object = {}): number {
  lastId += 1;
  socket.send(JSON.stringify({ id: lastId, method, params }));
  return lastId;
}

async function ask(socket: WebSocket, method: string): Promise<z.infer<typeof Answer>["result"]> {
  const asked = send(socket, method);
  for (;;) {
    const [{ data }] = (await once(socket, "message")) as [MessageEvent];
    const answer = Answer.safeParse(JSON.parse(String(data)));
    if (answer.data?.id === asked) return answer.data.result;
  }
}
