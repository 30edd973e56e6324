import Rsync from "rsync";

/** How to reach a destination that is not of this machine: what rsync(1) runs in place of ssh. */
export type RemoteShell = { shell: string };

/** Where a server keeps what it has of a file when the connection is cut, beside that file. */
export const partialDirectory = ".maestro-partial";

/**
 * Like `--archive`, but without owner and group (they are the server's affair) and without devices, sockets and
 * FIFOs (an app's files are files). `--delete-excluded`: what came to be ignored later does not stay behind.
 * The rules come on standard input, so that no length or character of them matters.
 *
 * The package `rsync` writes the options; as it would quote paths and words with spaces for a shell, which never sees
 * these arguments, those are added behind it as they are.
 */
export function rsyncArguments(source: string, destination: string, remote?: RemoteShell): string[] {
  const rsync = new Rsync();
  for (const option of ["recursive", "links", "perms", "times", "delete", "delete-excluded"])
    rsync.set(option);
  // The modes of directories are Maestro's affair; nobody else of the server is to look into what lies there meanwhile.
  rsync.set("chmod", "Do-rwx");
  rsync.set("out-format", "%i|%n").set("filter", "merge_-");
  if (remote) {
    // What was sent of a large file when the connection was cut is not sent again.
    rsync.set("compress").set("partial-dir", partialDirectory).set("info", "progress2");
    // All that there is to send is known before the first file is: so progress has an end.
    rsync.set("no-inc-recursive").set("timeout", "120");
  }
  return [
    ...rsync.args(),
    ...(remote ? [`--rsh=${remote.shell}`] : []),
    "--",
    // The slash at the end means the content of the directory, not the directory.
    `${source.replace(/\/+$/, "")}/`,
    `${destination.replace(/\/+$/, "")}/`,
  ];
}
