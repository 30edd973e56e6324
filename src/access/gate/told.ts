/* The form in which people know what a push tells them. */

export const headline = (text: string) => `-----> ${harmless(text)}`;
export const line = (text: string) => `       ${harmless(text)}`;

export function tell(text: string): void {
  process.stdout.write(`${text}\n`);
}

const names: Record<string, string> = {
  release: "Release",
  build: "Built",
  start: "Started",
  ready: "Ready",
  switch: "Traffic moved over",
};

/** A step of a deploy that is done, or what a build does and says; null for what nobody has to be told of. */
export function stepLine(step: Record<string, unknown>): string | null {
  const { detail: said } = step;
  if (step["state"] === "output") return typeof said === "string" ? line(said) : null;
  if (step["state"] === "began" && step["step"] === "build" && typeof said === "string")
    return headline(said);
  const name =
    typeof step["step"] === "string" && Object.hasOwn(names, step["step"]) ? names[step["step"]] : undefined;
  if (name === undefined || step["state"] !== "done") return null;
  const detail = typeof step["detail"] === "string" ? ` ${step["detail"]}` : "";
  const took = typeof step["tookMs"] === "number" ? ` (${step["tookMs"]} ms)` : "";
  return headline(`${name}${detail}${took}`);
}

/** What an app wrote must not move the cursor of whoever pushes. */
// biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what is replaced
const harmless = (text: string) => text.replace(/[\x00-\x08\x0a-\x1f\x7f-\x9f]/g, "?");
