import { createHash } from "node:crypto";
import { MaestroError } from "../errors.ts";

export type PublicKey = { type: string; blob: string; fingerprint: string };

/** How many bits an RSA key must have. Shorter ones are refused by sshd as well, or soon will be. */
const leastRsaBits = 2048;
const mostBytes = 16 * 1024;

/** The fields behind the type, by type: the length in bytes of each, where it is fixed. See RFC 4253, 5656, 8709, PROTOCOL.u2f. */
const fieldsOf: Record<string, readonly (number | null)[]> = {
  "ssh-ed25519": [32],
  "ecdsa-sha2-nistp256": [8, 65],
  "ecdsa-sha2-nistp384": [8, 97],
  "ecdsa-sha2-nistp521": [8, 133],
  "ssh-rsa": [null, null],
  "sk-ssh-ed25519@openssh.com": [32, null],
  "sk-ecdsa-sha2-nistp256@openssh.com": [8, 65, null],
};

/**
 * The one public key in the text of a .pub file. Only its type and the key itself are taken from it, so that nothing
 * else of what was given gets into authorized_keys. Throws `BAD_INPUT` that says what is wrong with it.
 */
export function parsePublicKey(text: string): PublicKey {
  if (text.length > mostBytes) throw bad("is too long to be one");
  if (text.includes("PRIVATE KEY"))
    throw bad("is a private key, which nobody else may have: give its .pub file");
  const lines = text.split(/\r?\n/).filter((line) => line.trim() !== "" && !line.startsWith("#"));
  const [line] = lines;
  if (line === undefined) throw bad("is empty");
  if (lines.length > 1) throw bad("has more than one line: add one key at a time");
  // biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what is looked for
  if (/[\x00-\x08\x0a-\x1f\x7f]/.test(line)) throw bad("has control characters in it");
  const [type = "", blob = ""] = line.trim().split(/[ \t]+/);
  return checkKey(type, blob);
}

function checkKey(type: string, blob: string): PublicKey {
  const fields = Object.hasOwn(fieldsOf, type) ? fieldsOf[type] : undefined;
  if (fields === undefined) {
    throw bad(
      `begins with "${type.slice(0, 60)}", which is no type of key that is taken: ${Object.keys(fieldsOf).join(", ")}; options before the key are not taken either`,
    );
  }
  const bytes = Buffer.from(blob, "base64");
  if (bytes.toString("base64") !== blob) throw bad("is not written in base64");
  const found = readFields(bytes);
  const [name, ...rest] = found ?? [];
  if (found === null || name?.toString("latin1") !== type || rest.length !== fields.length) {
    throw bad(`is not a key of the type ${type}: what is in it does not fit`);
  }
  if (fields.some((length, at) => length !== null && rest[at]?.length !== length)) {
    throw bad(`is not a key of the type ${type}: its length is wrong`);
  }
  if (type === "ssh-rsa") refuseShort(rest[1]);
  const digest = createHash("sha256").update(bytes).digest("base64").replace(/=+$/, "");
  return { type, blob, fingerprint: `SHA256:${digest}` };
}

/** The strings of SSH's wire format, RFC 4251 section 5; null when they do not fill the bytes exactly. */
function readFields(bytes: Buffer): Buffer[] | null {
  const fields: Buffer[] = [];
  let at = 0;
  while (at < bytes.length) {
    if (bytes.length - at < 4) return null;
    const length = bytes.readUInt32BE(at);
    at += 4;
    if (length > bytes.length - at) return null;
    fields.push(bytes.subarray(at, at + length));
    at += length;
  }
  return fields;
}

function refuseShort(modulus: Buffer | undefined): void {
  const first = modulus?.findIndex((byte) => byte !== 0) ?? -1;
  const bits =
    modulus === undefined || first === -1
      ? 0
      : (modulus.length - first) * 8 - Math.clz32(modulus[first] ?? 0) + 24;
  if (bits < leastRsaBits) {
    throw bad(`is an RSA key of ${bits} bits; it takes ${leastRsaBits}, or better: ssh-keygen -t ed25519`);
  }
}

const bad = (what: string) => new MaestroError("BAD_INPUT", `the public key ${what}`);
