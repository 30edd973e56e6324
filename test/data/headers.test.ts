import { IncomingMessage } from "node:http";
import { Socket } from "node:net";
import { expect, it } from "vitest";
import { outgoingHeaders } from "../../src/data/endpoint/headers.ts";

it("an answer in which something has to be marked is not asked for in a compressed form", () => {
  const request = new IncomingMessage(new Socket());
  request.method = "GET";
  request.rawHeaders = ["Host", "a", "Accept-Encoding", "gzip, br", "Accept", "application/json"];
  const own = { authorization: "Basic x", host: "b" };
  const fixed = ["host", "b", "authorization", "Basic x"];
  const plain = outgoingHeaders(request, own, Buffer.alloc(0), false);
  expect(plain).toEqual([...fixed, "Accept", "application/json"]);
  const any = outgoingHeaders(request, own, Buffer.alloc(0), true);
  expect(any).toEqual([...fixed, "Accept-Encoding", "gzip, br", "Accept", "application/json"]);
});
