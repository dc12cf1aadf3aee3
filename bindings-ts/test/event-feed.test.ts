import { describe, expect, test } from "vitest";
import { EventFeed } from "../src/client/event-feed.ts";
import type { ChatEvent } from "../src/client/model.ts";

const stored = (number: number): ChatEvent => ({
  number: BigInt(number),
  type: "inviteReused",
  accountId: "a",
  inviteId: `${number}`,
});
const passing = (online: boolean): ChatEvent => ({ number: 0n, type: "connectionChanged", online });

/** A feed, and what it has acknowledged. */
function newFeed() {
  const acknowledged: number[] = [];
  const feed = new EventFeed((number) => acknowledged.push(Number(number)));
  const push = (...numbers: number[]) => {
    for (const number of numbers) feed.push(stored(number));
  };
  return { feed, acknowledged, push };
}

/** Everything that is due now has happened. */
const settled = () => new Promise((resolve) => setImmediate(resolve));

/** A loop over a feed that goes on by itself. */
function loop(feed: EventFeed, signal?: AbortSignal) {
  const seen: number[] = [];
  const ended = (async () => {
    for await (const event of feed.read(signal)) seen.push(Number(event.number));
  })();
  return { seen, ended };
}

const numberOf = ({ value }: IteratorResult<ChatEvent, void>) => value && Number(value.number);

describe("F4 R1 EventFeed: one loop", () => {
  test("events that came before the loop and during it are seen in order, once", async () => {
    const { feed, push } = newFeed();
    push(1, 2);
    const { seen, ended } = loop(feed);
    await settled();
    push(3);
    await settled();
    push(4, 5);
    await settled();
    expect(seen).toEqual([1, 2, 3, 4, 5]);
    feed.close();
    await ended;
  });

  test("an event is acknowledged when the loop asks for the next one, not before", async () => {
    const { feed, acknowledged, push } = newFeed();
    push(1, 2);
    const reader = feed.read(undefined);
    expect(numberOf(await reader.next())).toBe(1);
    await settled();
    expect(acknowledged).toEqual([]);
    expect(numberOf(await reader.next())).toBe(2);
    expect(acknowledged).toEqual([1]);
    const waiting = reader.next();
    await settled();
    expect(acknowledged).toEqual([1, 2]);
    push(3);
    expect(numberOf(await waiting)).toBe(3);
    await reader.return();
    expect(acknowledged).toEqual([1, 2]);
  });

  test("a loop left in the middle of an event: the next loop sees that event again", async () => {
    const { feed, acknowledged, push } = newFeed();
    push(1, 2, 3);
    for await (const event of feed.read(undefined)) if (event.number === 2n) break;
    expect(acknowledged).toEqual([1]);
    const { seen, ended } = loop(feed);
    await settled();
    expect(seen).toEqual([2, 3]);
    expect(acknowledged.at(-1)).toBe(3);
    feed.close();
    await ended;
  });

  test("a loop that throws leaves its event to the next one", async () => {
    const { feed, acknowledged, push } = newFeed();
    push(1);
    const failing = (async () => {
      for await (const _ of feed.read(undefined)) throw new Error("of the application");
    })();
    await expect(failing).rejects.toThrow("of the application");
    expect(acknowledged).toEqual([]);
    const { seen, ended } = loop(feed);
    await settled();
    expect(seen).toEqual([1]);
    feed.close();
    await ended;
  });

  test("without a loop stored events wait, and passing ones are dropped", async () => {
    const { feed, push } = newFeed();
    feed.push(passing(true));
    push(1);
    feed.push(passing(false));
    const { seen, ended } = loop(feed);
    await settled();
    feed.push(passing(true));
    await settled();
    expect(seen).toEqual([1, 0]);
    feed.close();
    await ended;
  });

  test("passing events are never acknowledged, and do not hold up those that are", async () => {
    const { feed, acknowledged, push } = newFeed();
    const { ended } = loop(feed);
    await settled();
    feed.push(passing(true));
    await settled();
    expect(acknowledged).toEqual([]);
    push(1);
    feed.push(passing(false));
    await settled();
    expect(acknowledged).toEqual([1]);
    feed.close();
    await ended;
  });

  test("`next` called several times at once answers each with its own event", async () => {
    const { feed, push } = newFeed();
    const reader = feed.read(undefined);
    const three = [reader.next(), reader.next(), reader.next()];
    push(1, 2, 3);
    expect((await Promise.all(three)).map(numberOf)).toEqual([1, 2, 3]);
    await reader.return();
  });
});

describe("F4 R1 EventFeed: several loops", () => {
  test("each sees every event; an event is acknowledged when the slowest has asked for the next", async () => {
    const { feed, acknowledged, push } = newFeed();
    const slow = feed.read(undefined);
    push(1, 2, 3);
    await slow.next();
    const fast = loop(feed);
    await settled();
    expect(fast.seen).toEqual([1, 2, 3]);
    expect(acknowledged).toEqual([]);
    await slow.next();
    expect(acknowledged).toEqual([1]);
    await slow.next();
    expect(acknowledged).toEqual([1, 2]);
    const last = slow.next();
    await settled();
    expect(acknowledged).toEqual([1, 2, 3]);
    feed.close();
    expect((await last).done).toBe(true);
    await fast.ended;
  });

  test("a loop that begins later sees what is not acknowledged yet, and what follows", async () => {
    const { feed, push } = newFeed();
    const first = feed.read(undefined);
    push(1, 2, 3);
    await first.next();
    await first.next();
    const second = loop(feed);
    await settled();
    expect(second.seen).toEqual([2, 3]);
    push(4);
    await settled();
    expect(second.seen).toEqual([2, 3, 4]);
    feed.close();
    await second.ended;
    await first.return();
  });

  test("a slow loop that ends no longer holds up what the others have dealt with", async () => {
    const { feed, acknowledged, push } = newFeed();
    const slow = feed.read(undefined);
    push(1, 2, 3);
    await slow.next();
    const fast = loop(feed);
    await settled();
    expect(acknowledged).toEqual([]);
    await slow.return();
    expect(acknowledged).toEqual([3]);
    feed.close();
    await fast.ended;
  });

  test("a hundred loops, a thousand events", async () => {
    const { feed, acknowledged, push } = newFeed();
    const loops = Array.from({ length: 100 }, () => loop(feed));
    await settled();
    for (let number = 1; number <= 1000; number++) {
      push(number);
      if (number % 100 === 0) await settled();
    }
    await settled();
    const all = Array.from({ length: 1000 }, (_, i) => i + 1);
    for (const { seen } of loops) expect(seen).toEqual(all);
    expect(acknowledged.at(-1)).toBe(1000);
    expect(acknowledged).toEqual(acknowledged.toSorted((a, b) => a - b));
    feed.close();
    await Promise.all(loops.map(({ ended }) => ended));
  });
});

describe("F4 R1 EventFeed: the end", () => {
  test("close ends loops that wait and loops that work, and those that come after", async () => {
    const { feed, push } = newFeed();
    const waiting = loop(feed);
    await settled();
    push(1);
    await settled();
    const working = feed.read(undefined);
    push(2, 3);
    await working.next();
    feed.close();
    await waiting.ended;
    expect((await working.next()).done).toBe(true);
    const late = loop(feed);
    await late.ended;
    expect(late.seen).toEqual([]);
  });

  test("an event the loop is done with when the feed closes is acknowledged", async () => {
    const { feed, acknowledged, push } = newFeed();
    push(1);
    const reader = feed.read(undefined);
    await reader.next();
    feed.close();
    expect((await reader.next()).done).toBe(true);
    expect(acknowledged).toEqual([1]);
  });

  test("a signal ends its own loop only: at once if it waits, after its event if it works, before the first if it is aborted already", async () => {
    const { feed, acknowledged, push } = newFeed();
    const other = loop(feed);
    const abort = new AbortController();
    const waiting = loop(feed, abort.signal);
    await settled();
    const working = feed.read(abort.signal);
    const first = working.next();
    await settled();
    push(1);
    expect(numberOf(await first)).toBe(1);
    abort.abort();
    await waiting.ended;
    push(2);
    expect((await working.next()).done).toBe(true);
    await settled();
    expect(other.seen).toEqual([1, 2]);
    expect(acknowledged.at(-1)).toBe(2);
    const never = loop(feed, AbortSignal.abort());
    await never.ended;
    expect(never.seen).toEqual([]);
    feed.close();
    await other.ended;
  });

  test("a loop that ends leaves nothing on a long-lived signal", async () => {
    const { feed, push } = newFeed();
    const { signal } = new AbortController();
    let listeners = 0;
    const add = signal.addEventListener.bind(signal);
    const remove = signal.removeEventListener.bind(signal);
    signal.addEventListener = ((...args: Parameters<typeof add>) => {
      listeners++;
      add(...args);
    }) as typeof signal.addEventListener;
    signal.removeEventListener = ((...args: Parameters<typeof remove>) => {
      listeners--;
      remove(...args);
    }) as typeof signal.removeEventListener;
    push(1);
    for (let i = 0; i < 20; i++) for await (const _ of feed.read(signal)) break;
    expect(listeners).toBe(0);
  });
});
