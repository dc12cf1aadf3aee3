import type { ChatEvent } from "./model.ts";

interface Reader {
  /** Index into the feed of the next event. */
  next: number;
  wake: () => void;
}

/**
 * Events on their way to the application's loops. A stored event counts as dealt with once every loop that runs has asked for the one
 * after it; with no loop running events wait, so that the first loop sees all of them.
 */
export class EventFeed {
  #events: ChatEvent[] = [];
  /** Index of the first event in `#events`. */
  #base = 0;
  readonly #readers = new Set<Reader>();
  #acknowledged = 0n;
  #closed = false;
  readonly #onAcknowledged: (eventNumber: bigint) => void;

  constructor(onAcknowledged: (eventNumber: bigint) => void) {
    this.#onAcknowledged = onAcknowledged;
  }

  push(event: ChatEvent): void {
    // Of the moment only: for those who listen now.
    if (event.number === 0n && this.#readers.size === 0) return;
    this.#events.push(event);
    for (const reader of this.#readers) reader.wake();
  }

  /** Ends all loops. */
  close(): void {
    this.#closed = true;
    for (const reader of this.#readers) reader.wake();
  }

  async *read(signal: AbortSignal | undefined): AsyncGenerator<ChatEvent, void, undefined> {
    const reader: Reader = { next: this.#base, wake: () => {} };
    const onAbort = (): void => reader.wake();
    signal?.addEventListener("abort", onAbort);
    this.#readers.add(reader);
    try {
      while (!this.#closed && !signal?.aborted) {
        const event = this.#events[reader.next - this.#base];
        if (event) {
          yield event;
          reader.next++;
          this.#forget();
        } else {
          await new Promise<void>((resolve) => {
            reader.wake = resolve;
          });
        }
      }
    } finally {
      signal?.removeEventListener("abort", onAbort);
      this.#readers.delete(reader);
      // What only this one held up.
      if (this.#readers.size > 0) this.#forget();
    }
  }

  #forget(): void {
    const done = Math.min(...[...this.#readers].map((reader) => reader.next)) - this.#base;
    if (done <= 0) return;
    const forgotten = this.#events.splice(0, done);
    this.#base += done;
    const last = forgotten.findLast((event) => event.number !== 0n)?.number ?? 0n;
    if (last > this.#acknowledged) {
      this.#acknowledged = last;
      this.#onAcknowledged(last);
    }
  }
}
