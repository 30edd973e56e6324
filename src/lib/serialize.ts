/** Runs tasks of one key one after the other, in the order in which they came; other keys are not held up. */
export class Serializer<Key> {
  readonly #tails = new Map<Key, Promise<unknown>>();

  /** Whether a task of this key is running or waiting. */
  isBusy(key: Key): boolean {
    return this.#tails.has(key);
  }

  /** Resolves when no task of any key runs or waits. */
  async idle(): Promise<void> {
    while (this.#tails.size > 0) await Promise.all(this.#tails.values());
  }

  async run<T>(key: Key, task: () => Promise<T>): Promise<T> {
    const before = this.#tails.get(key) ?? Promise.resolve();
    const result = before.then(task);
    // The next one in line only needs to know that this one ended; its error belongs to its own caller.
    const tail = result.then(
      () => undefined,
      () => undefined,
    );
    this.#tails.set(key, tail);
    try {
      return await result;
    } finally {
      if (this.#tails.get(key) === tail) this.#tails.delete(key);
    }
  }
}
