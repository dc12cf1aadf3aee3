/** Time, as the SDK needs it. Injectable for tests. */
export interface Clock {
  /** Unix time in milliseconds, an integer. */
  now(): number;
  /** Runs a task once at a time (soon, if it is past). Returns what cancels it. */
  at(atMs: number, task: () => void): () => void;
}

/** Longest delay of setTimeout. */
const MAX_DELAY_MS = 2 ** 31 - 1;

export const systemClock: Clock = {
  now: () => Date.now(),
  at(atMs, task) {
    let timer: ReturnType<typeof setTimeout>;
    const arm = (): void => {
      const delay = atMs - Date.now();
      timer = delay > MAX_DELAY_MS ? setTimeout(arm, MAX_DELAY_MS) : setTimeout(task, Math.max(0, delay));
    };
    arm();
    return () => clearTimeout(timer);
  },
};
