import { readFile } from "node:fs/promises";
import { text } from "node:stream/consumers";
import type { Command } from "commander";
import { isSystemError, MaestroError } from "../../../src/errors.ts";
import type { CommandLine } from "../command-line.ts";
import { renderAudit, renderKeyAdded, renderKeys } from "../render/keys.ts";
import { examples } from "./example.ts";
import { wholeNumber } from "./logs.ts";

export function addKeysCommands(program: Command, line: CommandLine): void {
  const keys = program
    .command("keys")
    .summary("who may deploy over SSH, and which apps")
    .description("Lists the public keys by which people may deploy over SSH, and the apps of each.")
    .addHelpText("after", examples("maestro keys", "maestro keys add alice alice.pub --apps blog,shop"))
    .action(() => line.answer("keys", {}, renderKeys));
  keys
    .command("add")
    .summary("let a key deploy some apps")
    .description(
      "Lets whoever has the private key to FILE deploy these apps over SSH, by `maestro deploy --to` and by git push, and nothing else:\n" +
        "no shell, no forwarding, no other path. For a key that is there already: other apps.",
    )
    .argument("<name>", "what the key is called in the audit log, such as its owner's name")
    .argument("<file>", "the public key, as ssh-keygen writes it: id_ed25519.pub; - reads standard input")
    .requiredOption("--apps <names>", "the apps, with commas between them; they need not exist yet", names)
    .addHelpText("after", examples("maestro keys add alice alice.pub --apps blog,shop"))
    .action(async (key: string, file: string, { apps }: { apps: string[] }) =>
      line.print(
        await line.withServer(async (session) =>
          session.call("keys_add", { key, publicKey: await readKey(file), apps }),
        ),
        renderKeyAdded,
      ),
    );
  keys
    .command("remove")
    .summary("take a key away")
    .description("Takes a key away, and ends whatever it is being used for at the moment.")
    .argument("<name>", "the key's name")
    .addHelpText("after", examples("maestro keys remove alice"))
    .action((key: string) =>
      line.answer("keys_remove", { key }, (output) => `The key ${output.key} can do nothing any more.\n`),
    );
  program
    .command("audit")
    .summary("show who did what")
    .description("Shows every use of a key, and what administrators changed, the latest last.")
    .argument("[app]", "only what concerns this app")
    .option("-n, --entries <n>", "how many entries (default: 100)", wholeNumber)
    .addHelpText("after", examples("maestro audit -n 20", "maestro audit shop"))
    .action((app: string | undefined, { entries = 100 }: { entries?: number }) =>
      line.answer("audit", { entries, ...(app === undefined ? {} : { app }) }, renderAudit),
    );
}

const names = (value: string) => value.split(",").map((name) => name.trim());

async function readKey(file: string): Promise<string> {
  if (file === "-") return text(process.stdin);
  try {
    return await readFile(file, "utf8");
  } catch (error) {
    if (!isSystemError(error)) throw error;
    throw new MaestroError(
      "BAD_INPUT",
      `${file} cannot be read (${error.code}); name the file of a public key, such as ~/.ssh/id_ed25519.pub`,
      { file },
      { cause: error },
    );
  }
}
