/**
 * What sshd runs in place of whatever a key asks for (`command=` in authorized_keys, see sshd(8)): it looks at what was
 * asked, asks the controller whether this key may, and then lets exactly that happen. Started for every use of a key,
 * so it loads nothing but itself and Node's own modules.
 *
 *     node gate.js --key NAME
 */
import { Controller } from "./controller.ts";
import { passOn } from "./pass-on.ts";
import { parseRequest } from "./request.ts";
import { runPush, runSend } from "./run.ts";

const key = process.argv[3] ?? "";
const command = process.env["SSH_ORIGINAL_COMMAND"] ?? "";
const request = parseRequest(command);
const controller = new Controller({ key, connection: process.env["SSH_CONNECTION"] ?? "" });

try {
  process.exitCode = await run();
} catch (error) {
  process.stderr.write(`maestro: ${error instanceof Error ? error.message : String(error)}\n`);
  process.exitCode = 1;
}

async function run(): Promise<number> {
  if ("refused" in request) return controller.refuse(command, request.refused);
  switch (request.purpose) {
    case "operations":
      return passOn(await controller.openSession());
    case "send":
      return runSend(controller, request);
    case "push":
      return runPush(controller, request);
  }
}
