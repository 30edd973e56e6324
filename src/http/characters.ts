/** Bytes that mean something in HTTP/1.1 (RFC 9112), and the classes that the others fall into. */

export const tab = 0x09;
export const lf = 0x0a;
export const cr = 0x0d;
export const space = 0x20;
export const asterisk = 0x2a;
export const slash = 0x2f;
export const semicolon = 0x3b;
export const questionMark = 0x3f;
export const colon = 0x3a;

/** A class as a table: 1 at each byte that is in it. */
function table(isIn: (byte: number) => boolean): Uint8Array {
  return Uint8Array.from({ length: 256 }, (_, byte) => (isIn(byte) ? 1 : 0));
}

const tokenForm = /^[!#$%&'*+.^_`|~0-9A-Za-z-]$/;

/** `tchar`: methods and field names (RFC 9110, 5.6.2). */
export const isToken = table((byte) => tokenForm.test(String.fromCharCode(byte)));

/** What may stand in a field's value: no controls but the tab, so neither CR, LF nor NUL (RFC 9110, 5.5). */
export const isValue = table((byte) => byte === tab || (byte >= space && byte !== 0x7f));

/** What may stand in a request target: printable ASCII. No fragment: it stays with the client (RFC 9110, 7.1). */
export const isTarget = table((byte) => byte > space && byte < 0x7f && byte !== 0x23);

/** The value of a hexadecimal digit, 255 for what is none. */
export const hexDigits = Uint8Array.from({ length: 256 }, (_, byte) => {
  const value = Number.parseInt(String.fromCharCode(byte), 16);
  return Number.isNaN(value) ? 255 : value;
});

/** Zero behind the end; whoever asks knows where that is. */
export function byteAt(bytes: Uint8Array, at: number): number {
  return bytes[at] ?? 0;
}

/** Whether `text`, in lower case letters and hyphens, stands there, in whatever case. */
export function standsAt(bytes: Uint8Array, at: number, text: string): boolean {
  for (let index = 0; index < text.length; index += 1) {
    // 0x20 is what lower case letters have more than capitals; a hyphen has it already.
    if ((byteAt(bytes, at + index) | 0x20) !== text.charCodeAt(index)) return false;
  }
  return true;
}

/** Whether the bytes are `text`, exactly. */
export function isText(bytes: Buffer, start: number, end: number, text: string): boolean {
  if (end - start !== text.length) return false;
  for (let index = 0; index < text.length; index += 1) {
    if (byteAt(bytes, start + index) !== text.charCodeAt(index)) return false;
  }
  return true;
}
