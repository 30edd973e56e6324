import type { ErrorCode, WireError } from "../../../src/errors.ts";
import { quote } from "./apps.ts";
import { harmless, paint, type Screen } from "./screen.ts";

/** Where to look next. Messages say what to do where that depends on the case; this is what holds for every case. */
const advice: Partial<Record<ErrorCode, (app: string) => string>> = {
  APP_NOT_FOUND: () => "`maestro apps` lists the apps; `maestro deploy DIR` makes one",
  NOTHING_TO_RUN: () =>
    "an app has a Procfile, a start script in package.json, app.js, server.js, index.js or index.html",
  APP_NOT_READY: (app) =>
    `it has to listen on $PORT and answer / with a status below 500; see \`maestro logs ${app}\``,
  APP_EXITED: (app) => `mend what it says above and deploy again; see \`maestro logs ${app}\``,
  BUILD_FAILED: (app) => `mend what it says above and deploy again; see \`maestro logs ${app}\``,
  UNAUTHORIZED: () => "set MAESTRO_RPC_TOKEN to the token that the server was started with",
};

/** Why a command failed, the last lines of the app's output if there are any, and what to do. */
export function renderFailure({ code, message, details }: WireError, screen: Screen): string {
  const app = typeof details["app"] === "string" ? details["app"] : "APP";
  const isAboutToken = code !== "UNAUTHORIZED" || message.includes("token");
  const next = isAboutToken ? advice[code]?.(app) : undefined;
  return [
    `${paint(screen, "bad", "error:")} ${message.split("\n").map(harmless).join("\n  ")}\n`,
    quote(linesOf(details["lastLines"]), screen),
    next === undefined ? "" : `${paint(screen, "dim", "what to do:")} ${harmless(next)}\n`,
  ].join("");
}

function linesOf(value: unknown): string[] {
  return Array.isArray(value) ? value.filter((line) => typeof line === "string") : [];
}
