import { describe, expect, it } from "vitest";
import { parseRequest } from "../../src/access/gate/request.ts";

const options = "-ltprze.LsfxCIvu";

describe("what the gate understands", () => {
  it("is a session", () => {
    expect(parseRequest("maestro session")).toEqual({ purpose: "operations" });
  });

  it.each([
    [
      "of maestro deploy",
      `rsync --server ${options} --log-format=%i --timeout=120 --delete-excluded --partial-dir .maestro-partial . blog/`,
      [options, "--log-format=%i", "--timeout=120", "--delete-excluded", "--partial-dir=.maestro-partial"],
    ],
    ["of rsync -a", "rsync --server -logDtpre.iLsfxCIvu . blog", ["-logDtpre.iLsfxCIvu"]],
    ["of rsync 3.1", "rsync --server -vlogDtprze.iLsfx --delete . blog/", ["-vlogDtprze.iLsfx", "--delete"]],
  ])("is a sending %s", (_, command, known) => {
    expect(parseRequest(command)).toEqual({ purpose: "send", app: "blog", options: known });
  });

  it.each(["git-receive-pack 'blog.git'", "git receive-pack 'blog.git'", "git-receive-pack '/blog.git'"])(
    "is a push: %s",
    (command) => {
      expect(parseRequest(command)).toEqual({ purpose: "push", app: "blog" });
    },
  );

  it.each([
    "",
    " ",
    "maestro session ",
    "maestro  session",
    "maestro session\n",
    "MAESTRO SESSION",
    "rsync",
    "rsync --server",
    `rsync  --server ${options} . blog/`,
    `rsync --server ${options} . blog/ `,
    `rsync --server ${options} . blog//`,
    `rsync --server ${options} . ./blog/`,
    `rsync --server ${options} . blog/sub/`,
    `rsync --server ${options} . BLOG/`,
    `rsync --server ${options} . blog/\0`,
    `rsync --server ${options} / blog/`,
    `rsync --server ${options} . shop/ blog/`,
    `rsync --server ${options} .`,
    `rsync --server ${options}`,
    `rsync --server ${options}\n--daemon . blog/`,
    `rsync --server --sender ${options} . blog/`,
    `rsync --server ${options} --sender . blog/`,
    `rsync --server --daemon . blog/`,
    `rsync --server -e/bin/sh . blog/`,
    `rsync --server -le.L/x . blog/`,
    `rsync --server -L . blog/`,
    `rsync --server -lR . blog/`,
    `rsync --server -lb . blog/`,
    `rsync --server ${options} --partial-dir=/tmp . blog/`,
    `rsync --server ${options} --partial-dir .maestro-partial/../.. . blog/`,
    `rsync --server ${options} --partial-dir . blog/`,
    `rsync --server ${options} --log-file=x . blog/`,
    `rsync --server ${options} --log-format=%i%n . blog/`,
    `rsync --server ${options} --iconv=. . blog/`,
    `rsync --server ${options} --copy-dest=../x . blog/`,
    `rsync --server ${options} --compare-dest=/ . blog/`,
    `rsync --server ${options} --inplace . blog/`,
    `rsync --server ${options} --append . blog/`,
    `rsync --server ${options} --fake-super . blog/`,
    `rsync --server ${options} --remove-source-files . blog/`,
    `rsync --server ${options} -- . blog/`,
    "/usr/bin/rsync --server -l . blog/",
    "git-receive-pack blog.git",
    "git-receive-pack 'blog'",
    "git-receive-pack '//blog.git'",
    "git-receive-pack 'blog.git/'",
    "git-receive-pack 'a/blog.git'",
    "git-receive-pack 'blog.git' ",
    "git-receive-pack 'blog.git' 'shop.git'",
    "git-receive-pack 'blog'\\''.git'",
    "git-receive-pack  'blog.git'",
    "git-shell 'blog.git'",
    "git-upload-pack 'blog.git'",
    `maestro ${"x".repeat(10_000)}`,
  ])("is nothing else: %j", (command) => {
    expect(parseRequest(command)).toEqual({ refused: expect.any(String) });
  });
});
