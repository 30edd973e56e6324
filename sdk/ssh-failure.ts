import { isSystemError, MaestroError } from "../src/errors.ts";
import type { SshAddress } from "./ssh-address.ts";

type Reason = {
  said: RegExp;
  code: "INTERNAL" | "UNAUTHORIZED";
  message(place: string, host: string, line: string): string;
};

/** What ssh(1) and the gate of the server say, and what it means. The first that fits is taken. */
const reasons: readonly Reason[] = [
  {
    said: /REMOTE HOST IDENTIFICATION HAS CHANGED/,
    code: "UNAUTHORIZED",
    message: (place, host) =>
      `the host key of ${place} is another one than before: the server was set up anew, or somebody stands in between; when you know that it was, \`ssh-keygen -R ${host}\` forgets the old one`,
  },
  {
    said: /Host key verification failed/,
    code: "UNAUTHORIZED",
    message: (place) =>
      `the host key of ${place} is not known here yet; connect once with \`ssh\`, compare the fingerprint that it shows with the server's, and deploy again`,
  },
  {
    said: /Permission denied \(|Too many authentication failures/,
    code: "UNAUTHORIZED",
    message: (place) =>
      `${place} takes none of your SSH keys; whoever runs it lets you in with \`maestro keys add NAME YOUR-KEY.pub --apps APP\` (\`ssh-add -l\` shows which keys you offer)`,
  },
  {
    said: /Could not resolve hostname/,
    code: "INTERNAL",
    message: (place) => `there is no server of the name ${place}; is it spelt right?`,
  },
  {
    said: /Connection refused|timed out|No route to host|Network is unreachable/,
    code: "INTERNAL",
    message: (place, _, line) =>
      `cannot reach ${place} by SSH (${line.replace(/^.*: /, "").trim()}): is it the right server and port, and does sshd run there?`,
  },
  {
    said: /^maestro: Maestro does not run/,
    code: "INTERNAL",
    message: (place) => `Maestro does not run on ${place} at the moment; ask whoever runs it, and try again`,
  },
  {
    said: /^maestro: /,
    code: "UNAUTHORIZED",
    message: (place, _, line) => `${place} says: ${line.replace(/^maestro: /, "")}`,
  },
];

/** Why a session by SSH has ended, as far as what ssh said tells. `lost`: it may be tried again. */
export function sshFailure(
  { user, host, port }: SshAddress,
  lines: readonly string[],
  cause?: unknown,
): MaestroError {
  const place = `${user === undefined ? "" : `${user}@`}${host}${port === undefined ? "" : `:${port}`}`;
  if (isSystemError(cause, "ENOENT")) {
    return new MaestroError(
      "INTERNAL",
      "ssh is not installed here; install the package openssh-client",
      {},
      { cause },
    );
  }
  const details = { server: place, ssh: true };
  for (const { said, code, message } of reasons) {
    const line = lines.find((text) => said.test(text));
    if (line !== undefined) {
      return new MaestroError(code, message(place, host, line), { ...details, lastLines: [...lines] });
    }
  }
  const why = lines.at(-1);
  return new MaestroError("INTERNAL", `${place} ended the session${why === undefined ? "" : ` (${why})`}`, {
    ...details,
    lost: true,
  });
}
