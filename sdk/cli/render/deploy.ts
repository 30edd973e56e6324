import type { DeployReport } from "../../../src/app/reports.ts";
import type { DeployStep } from "../../deploy.ts";
import { harmless, paint, type Screen } from "./screen.ts";
import { duration } from "./time.ts";

/** What a step is called while it goes on. */
const under: Record<DeployStep["step"], string> = {
  send: "sending the files",
  check: "checking the request",
  release: "making the release",
  build: "building",
  prepare: "running the release process",
  start: "starting",
  ready: "waiting until it is ready",
  switch: "moving the traffic over",
  drain: "letting the old instances finish",
  stop: "stopping the old instances",
};

/** What it is called when it is done. */
const done: Record<DeployStep["step"], string> = {
  send: "sent",
  check: "checked",
  release: "release",
  build: "built",
  prepare: "release process done",
  start: "started",
  ready: "ready",
  switch: "traffic moved over",
  drain: "old instances have finished",
  stop: "old instances stopped",
};

/** One line about a step, without a line feed and without a mark before it. */
export function renderStep(
  { step, state, detail, sent, tookMs }: DeployStep,
  screen: Pick<Screen, "color">,
): string {
  const title = step === "build" && state === "began" && detail !== undefined;
  const words = [
    ...(title ? [] : [state === "done" ? done[step] : under[step]]),
    ...(sent === undefined ? [] : [renderSent(sent)]),
    ...(detail === undefined ? [] : [harmless(detail)]),
  ];
  const time = tookMs === undefined ? "" : paint(screen, "dim", ` (${duration(tookMs)})`);
  return `${words.join(" ")}${time}`;
}

/** A line of what an app's own program writes during a deploy, set off from what Maestro says. */
export function renderOutput(text: string, screen: Pick<Screen, "color">): string {
  return `  ${paint(screen, "dim", "│")} ${harmless(text)}`;
}

const barWidth = 20;

/** "▕██████░░░░░░░░░░░░░░▏ 30 % of 12.3 MB, 120 of 400 files" */
function renderSent({ bytes, totalBytes, files, totalFiles }: NonNullable<DeployStep["sent"]>): string {
  const share = totalBytes === 0 ? 0 : Math.min(1, bytes / totalBytes);
  const full = Math.round(share * barWidth);
  const bar = `▕${"█".repeat(full)}${"░".repeat(barWidth - full)}▏`;
  const counted = totalFiles === 0 ? "" : `, ${files} of ${totalFiles} files`;
  return `${bar} ${Math.floor(share * 100)} % of ${megabytes(totalBytes)}${counted}`;
}

const megabytes = (bytes: number) => `${(bytes / 1e6).toFixed(1)} MB`;

/** The end of a deploy: where the app is, which release, how long it took. */
export function renderDeployed(report: DeployReport, tookMs: number, screen: Screen): string {
  const place = report.urls.length > 0 ? report.urls.join("\n  ") : report.hostnames.join("\n  ");
  const headline = `${report.app} v${report.release} serves`;
  const notes = report.notes.map((note) => `note: ${harmless(note)}\n`).join("");
  return `${paint(screen, "good", headline)} (${duration(tookMs)})${place === "" ? "" : `\n  ${place}`}\n${notes}`;
}
