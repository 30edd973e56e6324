/** The modes of what Maestro keeps for an app, and the group that may read it (null: everyone may). */
export type Modes = { gid: number | null; directory: number; file: number; program: number };

/**
 * An app that runs as a user of its own reads its release through its group, and its neighbours cannot. Nobody
 * but Maestro may write it.
 */
export function modesFor(gid: number | null): Modes {
  return gid === null
    ? { gid, directory: 0o755, file: 0o644, program: 0o755 }
    : { gid, directory: 0o750, file: 0o640, program: 0o750 };
}
