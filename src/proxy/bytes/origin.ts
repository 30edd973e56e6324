import type { Wire } from "../../http/wire.ts";
import { plainAddress } from "../headers.ts";
import type { Introduced } from "./introduction.ts";

/** Where a connection's requests come from, and how an instance is told. */
export class Origin {
  readonly address: string;
  readonly isTrusted: boolean;
  /** Which the client has connected to. */
  readonly port: number | undefined;
  #host = "";
  #fields = Buffer.alloc(0);

  constructor(
    wire: Pick<Wire, "remoteAddress" | "localPort">,
    isTrusted: (address: string) => boolean,
    introduced: Introduced = null,
  ) {
    this.address = introduced?.address ?? plainAddress(wire.remoteAddress);
    this.isTrusted = isTrusted(this.address);
    this.port = introduced?.port ?? wire.localPort;
  }

  /** What an instance gets to know, when nobody before Maestro has a say in it. The lines are made once for a host. */
  fieldsFor(host: string): Buffer {
    if (host !== this.#host) {
      this.#host = host;
      this.#fields = Buffer.from(
        `${this.forwardedFor("")}${this.forwardedProto()}${this.forwardedHost(host)}${this.forwardedPort()}`,
        "latin1",
      );
    }
    return this.#fields;
  }

  /** `before`: those that are already in it, followed by ", ". */
  forwardedFor(before: string): string {
    return `X-Forwarded-For: ${before}${this.address}\r\n`;
  }

  forwardedProto(): string {
    return "X-Forwarded-Proto: http\r\n";
  }

  forwardedHost(host: string): string {
    return `X-Forwarded-Host: ${host}\r\n`;
  }

  forwardedPort(): string {
    return `X-Forwarded-Port: ${this.port ?? ""}\r\n`;
  }
}
