/** A message is not what it says it is, in its head or in its framing. The message tells what is wrong. */
export class Malformed extends Error {}
