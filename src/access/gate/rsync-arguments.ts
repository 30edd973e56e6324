import { type Refusal, refuse } from "./refusal.ts";

/** Where rsync keeps what was cut off, in the directory of each file: no release ever shows it. */
const partialDirectory = ".maestro-partial";

/**
 * The short options of `rsync --server` that only say what of a file is sent, and how. Left out are those that make it
 * follow symlinks (L, k, K), read its arguments from elsewhere (s), or write outside of its directory (b, R). Behind
 * `e` come the abilities of the client.
 */
const shortOptions = /^-[vlogDtpruzcnOJSHWxIi]+(?:e\d*\.[a-zA-Z]*)?$/;

const longOptions: readonly RegExp[] = [
  /^--delete(?:-before|-during|-after|-delay|-excluded)?$/,
  /^--(?:partial|numeric-ids|ignore-errors|force|size-only|new-compress|old-compress|no-r|no-W)$/,
  /^--log-format=(?:%i|X|%o)$/,
  /^--info=[A-Z0-9,]{1,100}$/,
  /^--(?:timeout|bwlimit|compress-level|modify-window|max-delete|block-size|checksum-seed)=\d{1,9}$/,
  /^--(?:compress|checksum)-choice=[a-z0-9,]{1,40}$/,
];

/**
 * The arguments that a client gives to `rsync --server` over SSH, when they mean: write into an app's directory. The
 * options are known one by one, and refused otherwise: there are many by which a server reads or writes elsewhere.
 */
export function checkRsync(
  words: readonly string[],
): { purpose: "send"; app: string; options: string[] } | Refusal {
  const [program, server, ...rest] = words;
  if (program !== "rsync" || server !== "--server") return refuse("is not rsync's own way of sending");
  if (rest.includes("--sender")) return refuse("would read: this key only sends");
  const [here, target] = rest.slice(-2);
  const app = target === undefined ? undefined : /^([a-z][a-z0-9-]{0,62})\/?$/.exec(target)?.[1];
  if (here !== "." || app === undefined) return refuse("does not lead to an app: send to USER@SERVER:APP/");
  const options = checkOptions(rest.slice(0, -2));
  return Array.isArray(options) ? { purpose: "send", app, options } : options;
}

function checkOptions(words: readonly string[]): string[] | Refusal {
  const options: string[] = [];
  for (let at = 0; at < words.length; at++) {
    const word = words[at] ?? "";
    if (word === "--partial-dir" && words[at + 1] === partialDirectory) {
      options.push(`--partial-dir=${partialDirectory}`);
      at++;
    } else if (shortOptions.test(word) || longOptions.some((option) => option.test(word))) options.push(word);
    else return refuse(`has an option that is not allowed: ${JSON.stringify(word.slice(0, 100))}`);
  }
  return options;
}
