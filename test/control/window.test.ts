import { setImmediate as turn } from "node:timers/promises";
import { describe, expect, it } from "vitest";
import { Window } from "../../src/control/window.ts";

/** Takes pieces one after the other; the answer tells how many it got so far. */
function taker(window: Window, bytes: number): () => number {
  let taken = 0;
  void (async () => {
    for (;;) {
      await window.take(bytes);
      taken += 1;
      await turn();
    }
  })();
  return () => taken;
}

const aWhile = async () => {
  for (let round = 0; round < 10; round++) await turn();
};

describe("a window", () => {
  it("lets through what fits, and goes on when some of it was taken", async () => {
    const window = new Window(100);
    const taken = taker(window, 40);
    await aWhile();
    expect(taken()).toBe(3);
    window.give(40);
    await aWhile();
    expect(taken()).toBe(4);
  });

  it("is never larger than it was, whatever the receiver says", async () => {
    const window = new Window(100);
    window.give(1e9);
    const taken = taker(window, 50);
    await aWhile();
    expect(taken()).toBe(2);
  });

  it("wakes all that wait, in their order, as far as there is room", async () => {
    const window = new Window(10);
    await window.take(10);
    const woken: string[] = [];
    for (const name of ["a", "b", "c"]) void window.take(5).then(() => woken.push(name));
    window.give(10);
    await aWhile();
    expect(woken).toEqual(["a", "b"]);
    window.open();
    await aWhile();
    expect(woken).toEqual(["a", "b", "c"]);
  });
});
