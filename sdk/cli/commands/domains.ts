import type { Command } from "commander";
import type { Operations } from "../../operations.ts";
import type { CommandLine } from "../command-line.ts";
import { harmless } from "../render/screen.ts";
import { examples } from "./example.ts";

type Domains = Operations["domains"]["output"];

export function addDomainsCommands(program: Command, line: CommandLine): void {
  const domains = program
    .command("domains")
    .usage("[options] APP | add APP HOSTNAME | remove APP HOSTNAME")
    .summary("list, add or remove an app's hostnames")
    .description("Lists the hostnames that lead to an app.")
    .argument("<app>", "the app's name")
    .addHelpText("after", examples("maestro domains shop", "maestro domains add shop shop.example.com"))
    .action((app: string) => line.answer("domains", { app }, renderDomains));
  domains
    .command("add")
    .summary("make a hostname, or a path of one, lead to an app")
    .description(
      "Makes a hostname lead to an app, at once, or only what is below a path of it: the longest path wins.\n" +
        "A hostname belongs to one app, and so does each path of it. The app sees the path as it was sent;\n" +
        "with --strip-prefix without the prefix, which X-Forwarded-Prefix then names.",
    )
    .argument("<app>", "the app's name")
    .argument("<hostname>", "a DNS name; *. may come first, a path may follow")
    .option("--strip-prefix", "take the path's prefix off before the app sees it")
    .addHelpText(
      "after",
      examples(
        "maestro domains add shop shop.example.com",
        "maestro domains add pay shop.example.com/payments --strip-prefix",
      ),
    )
    .action((app: string, hostname: string, { stripPrefix }: { stripPrefix?: true }) =>
      line.answer("domains_add", { app, hostname, ...(stripPrefix ? { stripPrefix } : {}) }, renderDomains),
    );
  domains
    .command("remove")
    .summary("take a hostname away from an app")
    .description("Takes a hostname away from an app, at once. Requests for it then get status 404.")
    .argument("<app>", "the app's name")
    .argument("<hostname>", "a hostname that the app was given, with its path if it has one")
    .addHelpText("after", examples("maestro domains remove shop shop.example.com"))
    .action((app: string, hostname: string) =>
      line.answer("domains_remove", { app, hostname }, renderDomains),
    );
}

function renderDomains({ app, hostnames, stripped }: Domains): string {
  if (hostnames.length === 0) return `No hostname leads to ${harmless(app)}.\n`;
  // A server of an earlier version knows no paths.
  const isStripped = (hostname: string) => stripped?.includes(hostname) ?? false;
  return hostnames
    .map((hostname) => `${harmless(hostname)}${isStripped(hostname) ? "  (prefix stripped)" : ""}\n`)
    .join("");
}
