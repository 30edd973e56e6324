import {
  type Attempt,
  type Dimension,
  dimensions,
  type Isolation,
  type IsolationLevel,
} from "../../app/isolation.ts";

/** What a level is there for: where one of these does not hold, it is not that level. */
const promised: Record<IsolationLevel, readonly Dimension[]> = {
  full: ["files", "processes", "user", "system calls"],
  userns: ["files", "processes", "system calls"],
  landlock: ["files"],
  process: [],
};

/** A dimension holds when everything that was tried of it was refused. */
export function judge(attempts: readonly Attempt[]): Isolation["holds"] {
  const tried = dimensions.filter((name) => attempts.some(({ dimension }) => dimension === name));
  return Object.fromEntries(
    tried.map((name) => [name, attempts.every(({ dimension, refused }) => dimension !== name || refused)]),
  );
}

/** What was not refused, in sentences. */
export function breaches(attempts: readonly Attempt[]): string[] {
  return attempts
    .filter(({ refused }) => !refused)
    .map(({ dimension, attempt, detail }) => `${dimension}: an app can ${attempt} (${detail})`);
}

/** What a level promises and was found not to hold. */
export const brokenPromises = (level: IsolationLevel, holds: Isolation["holds"]): Dimension[] =>
  promised[level].filter((name) => holds[name] === false);
