import { isToken, isValue, semicolon } from "./characters.ts";
import { Malformed } from "./malformed.ts";

/** Bytes that a chunk's extensions may have: nobody uses them, but for keeping readers busy. */
const mostBytes = 256;

const quote = 0x22;
const equals = 0x3d;
const backslash = 0x5c;

/** `";" name [ "=" ( token | quoted string ) ]`, without the blanks that RFC 9112, 7.1.1, lets readers refuse. */
export class ChunkExtension {
  #part: "name" | "value" | "quoted" | "closed" = "name";
  #isEmpty = true;
  #bytes = 0;

  /** Whether it may end here. */
  get isWhole(): boolean {
    return this.#part === "closed" || (this.#part !== "quoted" && !this.#isEmpty);
  }

  /** Takes a byte behind the first semicolon. */
  add(byte: number): void {
    this.#bytes += 1;
    if (this.#bytes > mostBytes || !this.#takes(byte)) throw new Malformed("a chunk's extension");
  }

  #takes(byte: number): boolean {
    if (this.#part === "quoted") return this.#takesQuoted(byte);
    if (byte === semicolon) return this.isWhole && this.#begin("name");
    if (this.#part === "closed") return false;
    if (byte === equals) return this.#part === "name" && !this.#isEmpty && this.#begin("value");
    if (byte === quote) return this.#part === "value" && this.#isEmpty && this.#begin("quoted");
    this.#isEmpty = false;
    return isToken[byte] === 1;
  }

  #takesQuoted(byte: number): boolean {
    if (byte === quote) return this.#begin("closed");
    return byte !== backslash && isValue[byte] === 1;
  }

  #begin(part: "name" | "value" | "quoted" | "closed"): true {
    this.#part = part;
    this.#isEmpty = true;
    return true;
  }
}
