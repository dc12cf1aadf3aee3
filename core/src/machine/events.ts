import { EventSchema } from "@chatsdk/abi/api_pb";
import { StateRecordSchema } from "@chatsdk/abi/records_pb";
import { Keys } from "./records.ts";
import type { Step, Steps } from "./step.ts";

/** The application has at most so many events at a time, and of a size of about so many bytes. */
const MAX_SHOWN = 1000;
const MAX_SHOWN_SIZE = 8 * 1024 * 1024;

/** Events that the application has and has not dealt with, oldest first. */
type Shown = readonly { number: bigint; size: number }[];

interface WindowState {
  shown: Shown;
  /** Number of the newest event that was shown. */
  last: bigint;
}

/**
 * Which of the stored events the application has. Not stored: after a start it has none. What does not fit follows when it has dealt with
 * earlier ones: one that is slow, or has no loop of events, fills its disk and not its memory.
 */
export class EventWindow {
  #state: WindowState = { shown: [], last: 0n };
  #former: WindowState = this.#state;

  /** A step begins: `undo` leads back here. */
  begin(): void {
    this.#former = this.#state;
  }

  /** Shows what fits. */
  *release(step: Step): Steps<void> {
    if (!step.eventsChanged) return;
    const { nextEventNumber, acknowledgedEvents } = yield* step.state();
    const shown = this.#state.shown.filter(({ number }) => number > acknowledgedEvents);
    let size = shown.reduce((sum, event) => sum + event.size, 0);
    let last = this.#state.last > acknowledgedEvents ? this.#state.last : acknowledgedEvents;
    while (last + 1n < nextEventNumber && shown.length < MAX_SHOWN && size < MAX_SHOWN_SIZE) {
      last++;
      const event = yield* step.getSized(EventSchema, Keys.event(last));
      // Forgotten with its conversation.
      if (!event) continue;
      step.show(event.record);
      shown.push({ number: last, size: event.size });
      size += event.size;
    }
    this.#state = { shown, last };
  }

  /** The application has dealt with the events up to this number: of those that it was shown. */
  *acknowledge(step: Step, until: bigint): Steps<void> {
    const state = yield* step.state();
    const from = state.acknowledgedEvents + 1n;
    const last = until < this.#state.last ? until : this.#state.last;
    if (last < from) return;
    for (let number = from; number <= last; number++) step.delete(Keys.event(number));
    state.acknowledgedEvents = last;
    step.put(StateRecordSchema, Keys.state, state);
    step.eventsChanged = true;
  }

  /** The events of the last step never left. */
  undo(): void {
    this.#state = this.#former;
  }
}

/** Events that wait hold message contents. One is read at a time: all of them may be more than memory holds. */
export function* forgetEvents(
  step: Step,
  concerns: (event: { accountId: string; conversationId: string }) => boolean,
): Steps<void> {
  const { nextEventNumber, acknowledgedEvents } = yield* step.state();
  for (let number = acknowledgedEvents + 1n; number < nextEventNumber; number++) {
    const event = yield* step.get(EventSchema, Keys.event(number));
    if (event && concerns(event)) step.delete(Keys.event(number));
  }
}
