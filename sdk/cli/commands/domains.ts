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
    .summary("make a hostname lead to an app")
    .description("Makes a hostname lead to an app, at once. A hostname belongs to one app.")
    .argument("<app>", "the app's name")
    .argument("<hostname>", "a DNS name; *. may come first")
    .addHelpText("after", examples("maestro domains add shop shop.example.com"))
    .action((app: string, hostname: string) => line.answer("domains_add", { app, hostname }, renderDomains));
  domains
    .command("remove")
    .summary("take a hostname away from an app")
    .description("Takes a hostname away from an app, at once. Requests for it then get status 404.")
    .argument("<app>", "the app's name")
    .argument("<hostname>", "a hostname that the app was given")
    .addHelpText("after", examples("maestro domains remove shop shop.example.com"))
    .action((app: string, hostname: string) =>
      line.answer("domains_remove", { app, hostname }, renderDomains),
    );
}

function renderDomains({ app, hostnames }: Domains): string {
  if (hostnames.length === 0) return `No hostname leads to ${harmless(app)}.\n`;
  return hostnames.map((hostname) => `${harmless(hostname)}\n`).join("");
}
