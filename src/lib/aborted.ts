/** What the work resolves with, or the signal's reason as soon as it is aborted; the work then goes on unheard. */
export async function unlessAborted<T>(signal: AbortSignal, work: Promise<T>): Promise<T> {
  work.catch(() => {}); // Nobody may be there any more to hear it.
  const result = await Promise.race([work, aborted(signal)]);
  signal.throwIfAborted();
  return result as T;
}

/** Resolves when a signal has been aborted. */
export function aborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve();
    signal.addEventListener("abort", () => resolve(), { once: true });
  });
}
