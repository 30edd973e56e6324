import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { cut, mutate, Random, type Reading, readAsNode, readParts } from "../support/fuzz.ts";

/**
 * `FUZZ_SECONDS` for longer than the minute of a test run, `FUZZ_SEED` for another search. Without it the search is
 * the same each time, so that a failure tells of a change. What is found goes into test/fixtures/http, one file an input,
 * and is read again by every run.
 */
const seconds = Number(process.env["FUZZ_SECONDS"] ?? 60);
const seed = Number(process.env["FUZZ_SEED"] ?? 582_575_527);

const directory = join(import.meta.dirname, "../fixtures/http");
const corpus = readdirSync(directory).map((name) => readFileSync(join(directory, name)));

/** Without what differs by chance, or by Maestro's will. */
const text = (forwarded: Buffer) =>
  forwarded.toString("latin1").replace(/^X-Request-Id: [0-9a-f-]{36}\r\n/m, "X-Request-Id: one\r\n");

/** What holds for whatever a client sends. Throws where it does not. */
function check(input: Buffer, parts: readonly Buffer[]): void {
  const whole = readParts([input]);
  expectSame(whole, readParts(parts));
  expectUnderstood(whole);
  expectAgreement(input, whole);
}

/** However the bytes come, the same is forwarded. */
function expectSame(whole: Reading, inParts: Reading): void {
  // A line that is malformed may be seen to be so only when it has ended.
  if (inParts.end !== "open" || whole.end !== "refused") expect(inParts.end).toBe(whole.end);
  expect(inParts.forwarded.map(text)).toEqual(whole.forwarded.map(text));
}

/** An app that reads with Node's parser sees as many requests as were forwarded, each with its head and its end. */
function expectUnderstood({ forwarded, isWhole, end }: Reading): void {
  const requests = end === "tunnel" ? forwarded.slice(0, -1) : forwarded;
  const { messages, error } = readAsNode(Buffer.concat(requests));
  expect(error).toBe(false);
  expect(messages.length).toBe(requests.length);
  for (const [index, { isWhole: hasEnded, fields }] of messages.entries()) {
    const isLast = index === messages.length - 1 && end !== "tunnel";
    expect(hasEnded).toBe(!isLast || isWhole);
    const names = fields.filter((_, at) => at % 2 === 0).map((name) => name.toLowerCase());
    for (const name of ["host", "x-forwarded-for", "x-forwarded-proto", "x-forwarded-host", "x-request-id"]) {
      expect(names.filter((other) => other === name)).toHaveLength(1);
    }
    for (const name of ["connection", "te", "keep-alive", "upgrade", "forwarded"])
      expect(names).not.toContain(name);
  }
}

/**
 * And it would have seen the same requests, had it read what the client sent. Node's parser stops behind one that asks for
 * another protocol, also where it has a body; Maestro takes no such one for a tunnel, and reads on (RFC 9110, section 7.8).
 */
function expectAgreement(input: Buffer, { forwarded }: Reading): void {
  const passed = readAsNode(Buffer.concat(forwarded)).messages;
  const sent = readAsNode(input).messages;
  const stops = sent.at(-1)?.fields.some((name, at) => at % 2 === 0 && /^upgrade$/i.test(name)) ?? false;
  for (const [index, message] of passed.slice(0, stops ? sent.length : passed.length).entries()) {
    const { method, url, body } = sent[index] ?? {};
    expect({ method, url, body }).toEqual({ method: message.method, url: message.url, body: message.body });
  }
}

describe("whatever a client sends", () => {
  it("is read as Node would read it, or not at all, however it is cut: what is known", () => {
    for (const input of corpus) {
      check(
        input,
        [...input].map((byte) => Buffer.from([byte])),
      );
      for (let at = 1; at < input.length; at += 1) check(input, [input.subarray(0, at), input.subarray(at)]);
    }
  });

  it(`is read as Node would read it, or not at all, however it is cut: what is made up (FUZZ_SEED=${seed})`, {
    timeout: seconds * 1000 + 60_000,
  }, () => {
    const random = new Random(seed);
    const until = performance.now() + seconds * 1000;
    let inputs = 0;
    for (; performance.now() < until; inputs += 1) {
      const input = mutate(random, corpus);
      const parts = cut(random, input);
      try {
        check(input, parts);
      } catch (error) {
        const lengths = parts.map(({ length }) => length);
        throw new Error(`FUZZ_SEED=${seed}: ${JSON.stringify(input.toString("latin1"))} in ${lengths}`, {
          cause: error,
        });
      }
    }
    expect(inputs).toBeGreaterThan(0);
  });
});
