/** Waiting with limits: what the transport needs of timers, and nothing that outlives its caller. */

/** The call took longer than it may. */
export class DeadlineExceeded extends Error {
  override readonly name = "DeadlineExceeded";
}

/**
 * Runs `task` with a signal that aborts after `ms` or with one of `parents`, and settles then even if `task` ignores the
 * signal (libp2p does in places). Timer and listeners are gone when the promise settles: `AbortSignal.any` and
 * `AbortSignal.timeout` would keep theirs longer.
 */
export async function withDeadline<T>(
  ms: number,
  parents: readonly AbortSignal[],
  what: string,
  task: (signal: AbortSignal) => Promise<T>,
): Promise<T> {
  for (const parent of parents) parent.throwIfAborted();
  const controller = new AbortController();
  const { signal } = controller;
  const expired = Promise.withResolvers<never>();
  const onAbort = () => controller.abort(parents.find((parent) => parent.aborted)?.reason);
  const timer = setTimeout(() => controller.abort(new DeadlineExceeded(`${what}: no answer within ${ms} ms`)), ms);
  for (const parent of parents) parent.addEventListener("abort", onAbort, { once: true });
  signal.addEventListener("abort", () => expired.reject(signal.reason), { once: true });
  try {
    return await Promise.race([task(signal), expired.promise]);
  } finally {
    clearTimeout(timer);
    for (const parent of parents) parent.removeEventListener("abort", onAbort);
  }
}

/** Resolves after `ms`; rejects with the signal's reason if that comes first. */
export async function sleep(ms: number, signal: AbortSignal): Promise<void> {
  signal.throwIfAborted();
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  const onAbort = () => reject(signal.reason);
  const timer = setTimeout(resolve, ms);
  signal.addEventListener("abort", onAbort, { once: true });
  try {
    await promise;
  } finally {
    clearTimeout(timer);
    signal.removeEventListener("abort", onAbort);
  }
}

/** A wait of one caller that another can end early. Ringing while nobody waits ends the next wait at once. */
export class Alarm {
  #rung = false;
  #wake: (() => void) | undefined;

  /** Resolves after `ms` with false, or when the alarm rings with true. */
  async wait(ms: number): Promise<boolean> {
    if (!this.#rung) {
      const { promise, resolve } = Promise.withResolvers<void>();
      const timer = setTimeout(resolve, ms);
      this.#wake = resolve;
      await promise;
      clearTimeout(timer);
      this.#wake = undefined;
    }
    const rung = this.#rung;
    this.#rung = false;
    return rung;
  }

  ring(): void {
    this.#rung = true;
    this.#wake?.();
  }
}

/** At most `size` holders at a time; the others wait in line. */
export class Slots {
  #free: number;
  readonly #line: (() => void)[] = [];

  constructor(size: number) {
    this.#free = size;
  }

  /** Resolves with the function that gives the slot back. */
  async take(signal: AbortSignal): Promise<() => void> {
    signal.throwIfAborted();
    if (this.#free > 0) {
      this.#free -= 1;
      return this.#release;
    }
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    const onAbort = () => {
      this.#line.splice(this.#line.indexOf(resolve), 1);
      reject(signal.reason);
    };
    this.#line.push(resolve);
    signal.addEventListener("abort", onAbort, { once: true });
    try {
      await promise;
    } finally {
      signal.removeEventListener("abort", onAbort);
    }
    return this.#release;
  }

  readonly #release = (): void => {
    const next = this.#line.shift();
    if (next === undefined) this.#free += 1;
    else next();
  };
}

/** Exponential backoff with jitter: between half of and the full `first * 2^attempt`, at most `max`. */
export function backoff(attempt: number, first: number, max: number): number {
  const full = Math.min(max, first * 2 ** Math.min(attempt, 30));
  return full * (0.5 + Math.random() / 2);
}
