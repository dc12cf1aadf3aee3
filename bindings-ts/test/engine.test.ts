import { ErrorCode } from "@chatsdk/abi/errors_pb";
import type { Input } from "@chatsdk/abi/host_pb";
import { ChatError } from "@chatsdk/core";
import { afterEach, describe, expect, test, vi } from "vitest";
import { systemClock } from "../src/client/clock.ts";
import {
  change,
  done,
  event,
  failure,
  newEngine,
  publish,
  query,
  settled,
  TestTransport,
  wakeAt,
} from "./client-support/fakes.ts";

const list = { case: "listAccounts", value: {} } as const;
const wakeInput = { case: "wake", value: {} } as const;
const full = () => {
  throw new ChatError(ErrorCode.STORAGE_FULL, "full", { retryable: true });
};

/** A started engine. */
async function started(parts: Parameters<typeof newEngine>[0] = {}) {
  const all = newEngine(parts);
  await all.engine.start({});
  all.core.inputs.length = 0;
  return all;
}

afterEach(() => {
  vi.useRealTimers();
});

describe("F3 Engine: commit before you send", () => {
  test("effects, events and the reply come after the commit, in that order", async () => {
    const order: string[] = [];
    const { engine, core, storage, transport } = await started({
      onEvent: ({ eventNumber }) => order.push(`event ${eventNumber}`),
    });
    const commit = Promise.withResolvers<void>();
    storage.guard = async () => {
      order.push("commit");
      await commit.promise;
      order.push("durable");
    };
    transport.publish = async () => void order.push("publish");
    core.script = () => ({ changes: [change()], effects: [publish()], events: [event(1), event(2)], reply: done });
    const call = engine.call(list).then(() => order.push("reply"));
    await settled();
    expect(order).toEqual(["commit"]);
    commit.resolve();
    await call;
    expect(order.slice(0, 6)).toEqual(["commit", "durable", "publish", "event 1", "event 2", "reply"]);
    await engine.close();
  });

  test("a commit that fails: the call rejects with its error, nothing is released, the core is told, the next call works", async () => {
    const { engine, core, storage, transport, clock, events } = await started();
    storage.guard = full;
    core.script = () => ({
      changes: [change()],
      effects: [publish(), query(), wakeAt(clock.now() + 1)],
      events: [event(1)],
      reply: done,
    });
    await expect(engine.call(list)).rejects.toMatchObject({ code: ErrorCode.STORAGE_FULL, retryable: true });
    await settled();
    expect(transport.calls).toEqual([]);
    expect(events).toEqual([]);
    expect(clock.waiting).toEqual([]);
    expect(core.failures).toBe(1);
    storage.guard = () => {};
    core.script = () => ({ reply: done });
    expect((await engine.call(list)).case).toBe("done");
    await engine.close();
  });

  test("a read that fails is a failure of the call, with the core told", async () => {
    const { engine, core, storage } = await started();
    const cause = new Error("the disk");
    core.reads = ["k"];
    vi.spyOn(storage.inner.secrets, "get").mockRejectedValue(cause);
    await expect(engine.call(list)).rejects.toMatchObject({ code: ErrorCode.INTERNAL, cause });
    expect(core.failures).toBe(1);
    await engine.close();
  });

  test("the anchor is written after the commit; that it fails is logged, and does not take back what is durable", async () => {
    const written: bigint[] = [];
    const failing = { read: async () => undefined, write: () => Promise.reject(new Error("no space for the anchor")) };
    const anchor = {
      read: async () => undefined,
      write: async (_: string, generation: bigint) => void written.push(generation),
    };
    const first = await started({ anchor });
    first.core.script = () => ({ changes: [change()], reply: done });
    await first.engine.call(list);
    expect(written).toEqual([first.core.generation]);
    first.core.script = () => ({ reply: done });
    await first.engine.call(list);
    expect(written).toHaveLength(1);
    await first.engine.close();

    const second = await started({ anchor: failing });
    second.core.script = () => ({ changes: [change()], events: [event(1)], reply: done });
    expect((await second.engine.call(list)).case).toBe("done");
    expect(second.events).toHaveLength(1);
    expect(second.logger.warnings.join()).toContain("no space for the anchor");
    await second.engine.close();
  });
});

describe("F3 Engine: one input at a time", () => {
  test("calls and inputs are served in order, each after the commit of the one before", async () => {
    const { engine, core, storage } = await started();
    const order: string[] = [];
    let running = 0;
    storage.guard = async () => {
      expect(++running).toBe(1);
      await settled();
      running--;
    };
    core.script = ({ input }: Input) => {
      order.push(String(input.case));
      return { changes: [change()], reply: done };
    };
    const calls = [engine.call({ case: "createAccount", value: {} }), engine.call(list)];
    engine.feed({ case: "connectionChanged", value: { online: true } });
    calls.push(engine.call({ case: "createAccount", value: {} }));
    await Promise.all(calls);
    expect(order).toEqual(["createAccount", "listAccounts", "connectionChanged", "createAccount"]);
    await engine.close();
  });

  test("each input has the time of its turn and entropy of its own", async () => {
    const { engine, core, clock } = await started();
    core.script = () => ({ reply: done });
    await engine.call(list);
    await clock.pass(1234);
    await engine.call(list);
    const [first, second] = core.inputs as [Input, Input];
    expect(second.nowMs - first.nowMs).toBe(1234n);
    expect(second.entropy).toHaveLength(32);
    expect(second.entropy).not.toEqual(first.entropy);
    await engine.close();
  });

  test("a call from within an event, or right after a reply, is served", async () => {
    const nested: Promise<unknown>[] = [];
    const made = newEngine({ onEvent: () => nested.push(made.engine.call(list)) });
    const { engine, core } = made;
    await engine.start({});
    core.script = ({ input }) => ({ events: input.case === "createAccount" ? [event(1)] : [], reply: done });
    await engine.call({ case: "createAccount", value: {} });
    await Promise.all(nested);
    for (let i = 0; i < 100; i++) await engine.call(list);
    await engine.close();
  });

  test("`start` is the first input, whatever the transport says before it", async () => {
    const { engine, core } = newEngine();
    engine.feed({ case: "connectionChanged", value: { online: true } });
    engine.feed({ case: "envelopeReceived", value: { topic: "t", payload: Uint8Array.of(1) } });
    await settled();
    expect(core.kinds).toEqual([]);
    await engine.start({ rolledBack: true });
    await settled();
    expect(core.kinds).toEqual(["start", "connectionChanged", "envelopeReceived"]);
    expect(core.inputs[0]?.input.value).toMatchObject({ rolledBack: true });
    await engine.close();
  });

  test("a start that fails rejects, and nothing else is taken in", async () => {
    const { engine, core, storage } = newEngine();
    storage.guard = full;
    core.script = () => ({ changes: [change()], effects: [publish()] });
    engine.feed({ case: "connectionChanged", value: { online: true } });
    await expect(engine.start({})).rejects.toMatchObject({ code: ErrorCode.STORAGE_FULL });
    await engine.close();
    expect(core.kinds).toEqual(["start"]);
  });

  test("a start that the core refuses rejects with its failure", async () => {
    const { engine, core } = newEngine();
    core.script = () => ({ reply: failure(ErrorCode.DATABASE_CORRUPT, "record k: does not verify") });
    await expect(engine.start({})).rejects.toMatchObject({ code: ErrorCode.DATABASE_CORRUPT });
    await engine.close();
  });
});

describe("F3 Engine: failures", () => {
  test("a failure the core replies is the call's, with code, message and retryable", async () => {
    const { engine, core } = await started();
    core.script = () => ({
      reply: {
        reply: {
          case: "failure",
          value: { code: ErrorCode.OUTBOX_FULL, message: "conversation_id: full", retryable: true },
        },
      },
    });
    await expect(engine.call(list)).rejects.toMatchObject({
      name: "ChatError",
      code: ErrorCode.OUTBOX_FULL,
      message: "conversation_id: full",
      retryable: true,
    });
    core.script = () => ({});
    await expect(engine.call(list)).rejects.toMatchObject({ code: ErrorCode.INTERNAL });
    await engine.close();
  });

  test("a defect in the core is INTERNAL with its cause; the core is told, and the engine goes on", async () => {
    const { engine, core, events } = await started();
    const defect = new TypeError("undefined is not a function");
    core.script = () => {
      throw defect;
    };
    await expect(engine.call(list)).rejects.toMatchObject({
      name: "ChatError",
      code: ErrorCode.INTERNAL,
      retryable: false,
      cause: defect,
    });
    expect(core.failures).toBe(1);
    core.script = () => ({ changes: [change()], events: [event(1)], reply: done });
    await engine.call(list);
    expect(events).toHaveLength(1);
    await engine.close();
  });

  test("an input of the host that fails, in whichever way, is logged", async () => {
    const { engine, core, storage, logger } = await started();
    core.script = () => {
      throw new TypeError("a defect");
    };
    engine.feed({ case: "envelopeReceived", value: { topic: "t", payload: Uint8Array.of(1) } });
    await settled();
    core.script = () => ({ reply: failure(ErrorCode.DATABASE_CORRUPT, "record k: does not verify") });
    engine.feed({ case: "envelopeReceived", value: { topic: "t", payload: Uint8Array.of(1) } });
    await settled();
    core.script = () => ({ changes: [change()] });
    storage.guard = full;
    engine.feed({ case: "envelopeReceived", value: { topic: "t", payload: Uint8Array.of(1) } });
    await settled();
    expect(logger.warnings).toHaveLength(3);
    expect(logger.warnings[0]).toContain("envelopeReceived");
    expect(logger.warnings[1]).toContain("does not verify");
    expect(logger.warnings[2]).toContain("full");
    await engine.close();
  });

  const failures = {
    "a full disk": (error: () => never) => ({ guard: error }),
    "a database that another process has locked": () => ({
      guard: () => {
        throw new ChatError(ErrorCode.DATABASE_LOCKED, "locked");
      },
    }),
    "an error of the storage that has no code": () => ({
      guard: () => {
        throw new Error("SQLITE_IOERR");
      },
    }),
    "a defect of the core": () => ({
      script: () => {
        throw new TypeError("a defect");
      },
    }),
    "a failure that the core replies": () => ({
      script: () => ({ reply: failure(ErrorCode.DATABASE_CORRUPT, "record k: does not verify") }),
    }),
  };

  test.for(Object.entries(failures))(
    "what the host knows and nobody tells again is fed again after %s",
    async ([, make]) => {
      const { engine, core, storage, clock } = await started();
      const inputs = [
        { case: "publishResult", value: { publishId: "p", ok: true } },
        { case: "publishResult", value: { publishId: "q", ok: false } },
        { case: "connectionChanged", value: { online: true } },
        { case: "acknowledgeEvents", value: { eventNumber: 7n } },
        { case: "wake", value: {} },
      ] as const;
      const kinds = inputs.map((input) => input.case).toSorted();
      const recover = () => {
        core.script = core.resultScript = () => ({ changes: [change()] });
        storage.guard = () => {};
      };
      const fail = () => {
        recover();
        const { guard, script } = { guard: undefined, script: undefined, ...make(full) };
        if (guard) storage.guard = guard;
        if (script) core.script = core.resultScript = script;
      };
      fail();
      for (const input of inputs) engine.feed(input);
      engine.feed({ case: "envelopeReceived", value: { topic: "t", payload: Uint8Array.of(1) } });
      await settled();
      core.inputs.length = 0;
      // Seldom, while it lasts.
      await clock.pass(9_000);
      expect(core.kinds.toSorted()).toEqual(kinds);
      recover();
      core.inputs.length = 0;
      await clock.pass(60_000);
      // An envelope comes back with the history.
      expect(core.kinds.toSorted()).toEqual(kinds);
      expect(core.inputs.map(({ input }) => input.value)).toMatchObject(inputs.map((input) => input.value));
      expect(storage.commits).toBe(5);

      // A last time when it closes, and not again.
      fail();
      for (const input of inputs) engine.feed(input);
      await settled();
      core.inputs.length = 0;
      await engine.close();
      expect(core.kinds.toSorted()).toEqual(["acknowledgeEvents", "publishResult", "publishResult"]);
      expect(clock.waiting).toEqual([]);
    },
  );

  test("what was not taken in is not fed again once something newer was", async () => {
    const { engine, core, storage, clock } = await started();
    core.script = () => ({ changes: [change()] });
    storage.guard = full;
    engine.feed({ case: "connectionChanged", value: { online: true } });
    engine.feed({ case: "acknowledgeEvents", value: { eventNumber: 7n } });
    await settled();
    engine.feed({ case: "acknowledgeEvents", value: { eventNumber: 8n } });
    await settled();
    storage.guard = () => {};
    engine.feed({ case: "connectionChanged", value: { online: false } });
    await settled();
    core.inputs.length = 0;
    await clock.pass(60_000);
    expect(core.inputs.map(({ input }) => input.value)).toMatchObject([{ eventNumber: 8n }]);
    await engine.close();
  });

  test("no promise is left to reject unheard, whatever the transport throws", async () => {
    const unheard: unknown[] = [];
    const note = (reason: unknown): void => void unheard.push(reason);
    process.on("unhandledRejection", note);
    const transport = new TestTransport();
    transport.publish = () => {
      throw new Error("at once");
    };
    transport.subscribe = () => Promise.reject(undefined);
    transport.queryHistory = () => {
      throw new Error("at once");
    };
    const { engine, core } = await started({ transport });
    core.script = ({ input }) =>
      input.case === "listAccounts"
        ? { effects: [publish(), query(), { effect: { case: "subscribe", value: { topics: ["t"] } } }], reply: done }
        : {};
    await engine.call(list);
    await settled();
    transport.publish = () => Promise.reject("a string");
    transport.queryHistory = async function* () {
      yield [];
      throw null;
    };
    await engine.call(list);
    await settled();
    expect(
      core.inputs.filter(({ input }) => input.case === "publishResult").map(({ input }) => input.value),
    ).toMatchObject([{ ok: false }, { ok: false }]);
    await engine.close();
    await expect(engine.call(list)).rejects.toMatchObject({ code: ErrorCode.CLOSED });
    engine.feed(wakeInput);
    await settled();
    process.off("unhandledRejection", note);
    expect(unheard).toEqual([]);
  });
});

describe("F4 Engine: the network", () => {
  test("a publication's result is fed back: also a failure that says nothing", async () => {
    const { engine, core, transport } = await started();
    core.script = () => ({ effects: [publish("a")], reply: done });
    await engine.call(list);
    await settled();
    transport.publish = () => Promise.reject(new Error());
    await engine.call(list);
    await settled();
    transport.publish = () => Promise.reject(new Error("no node took it"));
    await engine.call(list);
    await settled();
    const results = core.inputs.flatMap(({ input }) => (input.case === "publishResult" ? [input.value] : []));
    expect(results).toMatchObject([
      { publishId: "a", ok: true },
      { publishId: "a", ok: false },
      { publishId: "a", ok: false, reason: "no node took it" },
    ]);
    await engine.close();
  });

  test("history is taken in page by page: the next is asked for when the one before is durable", async () => {
    const order: string[] = [];
    const { engine, core, storage, transport } = await started();
    transport.queryHistory = async function* () {
      for (const page of [1, 2, 3]) {
        order.push(`page ${page}`);
        yield [{ topic: "t", payload: Uint8Array.of(page) }];
      }
    };
    storage.guard = async () => {
      await settled();
      order.push("durable");
    };
    core.script = ({ input }) =>
      input.case === "historyPage" ? { changes: [change()] } : { effects: [query()], reply: done };
    await engine.call(list);
    await vi.waitFor(() => expect(order).toHaveLength(7));
    expect(order).toEqual(["page 1", "durable", "page 2", "durable", "page 3", "durable", "durable"]);
    const pages = core.inputs.flatMap(({ input }) => (input.case === "historyPage" ? [input.value] : []));
    expect(pages.map(({ more, failed, envelopes }) => [more, failed, envelopes.length])).toEqual([
      [true, false, 1],
      [true, false, 1],
      [true, false, 1],
      [false, false, 0],
    ]);
    await engine.close();
  });

  test("history that breaks off, or a page that cannot be stored, ends as failed: it is asked for again from where it was", async () => {
    const { engine, core, storage, transport } = await started();
    const ends = () =>
      core.inputs.flatMap(({ input }) =>
        input.case === "historyPage" && !input.value.more ? [input.value.failed] : [],
      );
    transport.queryHistory = async function* () {
      yield [{ topic: "t", payload: Uint8Array.of(1) }];
      throw new Error("no store node answers");
    };
    core.script = ({ input }) => (input.case === "listAccounts" ? { effects: [query()], reply: done } : {});
    await engine.call(list);
    await settled();
    expect(ends()).toEqual([true]);

    let asked = 0;
    transport.queryHistory = async function* () {
      for (; asked < 5; asked++) yield [{ topic: "t", payload: Uint8Array.of(1) }];
    };
    core.script = ({ input }) =>
      input.case === "listAccounts" ? { effects: [query()], reply: done } : { changes: [change()] };
    storage.guard = full;
    await engine.call(list);
    await settled();
    expect(asked).toBe(0);
    expect(ends()).toEqual([true, true]);
    storage.guard = () => {};

    // The core refuses a page: a record of the database is damaged.
    core.script = ({ input }) =>
      input.case === "listAccounts"
        ? { effects: [query()], reply: done }
        : { reply: failure(ErrorCode.DATABASE_CORRUPT) };
    await engine.call(list);
    await settled();
    expect(asked).toBe(0);
    expect(ends()).toEqual([true, true, true]);
    await engine.close();
  });
});

describe("F4 Engine: timers", () => {
  test("one wake at a time: a later outcome moves it, 0 takes it back", async () => {
    const { engine, core, clock } = await started();
    const wakes = () => core.kinds.filter((kind) => kind === "wake").length;
    const callWith = async (ms: number) => {
      core.script = ({ input }) => (input.case === "listAccounts" ? { effects: [wakeAt(ms)], reply: done } : {});
      await engine.call(list);
    };
    await callWith(clock.now() + 1000);
    await callWith(clock.now() + 500);
    expect(clock.waiting).toEqual([500]);
    await clock.pass(2000);
    expect(wakes()).toBe(1);
    await callWith(clock.now() + 1000);
    await callWith(0);
    expect(clock.waiting).toEqual([]);
    // One in the past is served soon.
    await callWith(clock.now() - 1000);
    await clock.pass(0);
    expect(wakes()).toBe(2);
    await callWith(clock.now() + 1000);
    await engine.close();
    expect(clock.waiting).toEqual([]);
  });

  test("a wake that fails is tried again", async () => {
    const { engine, core, storage, clock } = await started();
    const wakes = () => core.kinds.filter((kind) => kind === "wake").length;
    core.script = () => ({ changes: [change()] });
    storage.guard = full;
    engine.feed(wakeInput);
    await clock.pass(12_000);
    expect(wakes()).toBe(3);
    storage.guard = () => {};
    await clock.pass(12_000);
    expect(wakes()).toBe(4);
    core.script = () => ({ reply: failure(ErrorCode.DATABASE_CORRUPT) });
    engine.feed(wakeInput);
    await clock.pass(6000);
    expect(wakes()).toBe(6);
    await engine.close();
  });

  test("the system's clock keeps to times beyond 2^31 ms, and cancels them", async () => {
    vi.useFakeTimers({ now: Date.UTC(2026, 0, 1) });
    const day = 24 * 3600 * 1000;
    const due: number[] = [];
    const start = Date.now();
    for (const days of [1, 24, 25, 60, 400]) systemClock.at(start + days * day, () => due.push(days));
    const cancel = systemClock.at(start + 100 * day, () => due.push(-1));
    await vi.advanceTimersByTimeAsync(30 * 1000);
    expect(due).toEqual([]);
    await vi.advanceTimersByTimeAsync(24 * day);
    expect(due).toEqual([1, 24]);
    await vi.advanceTimersByTimeAsync(26 * day);
    expect(due).toEqual([1, 24, 25]);
    cancel();
    await vi.advanceTimersByTimeAsync(351 * day);
    expect(due).toEqual([1, 24, 25, 60, 400]);
    expect(vi.getTimerCount()).toBe(0);
    systemClock.at(start, () => due.push(0));
    await vi.advanceTimersByTimeAsync(1);
    expect(due.at(-1)).toBe(0);
  });
});

describe("F4 Engine: aborting and closing", () => {
  test("a call whose signal is aborted before its turn is ABORTED, with the reason, and never begins; one under way is not", async () => {
    const { engine, core, storage } = await started();
    core.script = () => ({ changes: [change()], reply: done });
    const reason = new Error("the user left");
    await expect(engine.call(list, AbortSignal.abort(reason))).rejects.toMatchObject({
      code: ErrorCode.ABORTED,
      cause: reason,
    });
    const commit = Promise.withResolvers<void>();
    storage.guard = () => commit.promise;
    const abort = new AbortController();
    const underway = engine.call({ case: "createAccount", value: {} }, abort.signal);
    const queued = engine.call(list, abort.signal);
    const after = engine.call(list);
    await settled();
    abort.abort(reason);
    commit.resolve();
    await expect(queued).rejects.toMatchObject({ code: ErrorCode.ABORTED });
    expect((await underway).case).toBe("done");
    expect((await after).case).toBe("done");
    expect(core.kinds).toEqual(["createAccount", "listAccounts"]);
    await engine.close();
  });

  test("close finishes the calls taken; later ones are CLOSED, also while it is closing", async () => {
    const { engine, core, storage } = await started();
    const commit = Promise.withResolvers<void>();
    storage.guard = () => commit.promise;
    core.script = () => ({ changes: [change()], reply: done });
    const taken = [engine.call(list), engine.call(list)];
    const closing = engine.close();
    await expect(engine.call(list)).rejects.toMatchObject({ code: ErrorCode.CLOSED });
    commit.resolve();
    for (const call of taken) expect((await call).case).toBe("done");
    await closing;
    await expect(engine.call(list)).rejects.toMatchObject({ code: ErrorCode.CLOSED });
    expect(core.inputs).toHaveLength(2);
  });

  test("close waits for what is on its way to a node, and its result is stored", async () => {
    const { engine, core, transport } = await started();
    const sent = Promise.withResolvers<void>();
    transport.publish = () => sent.promise;
    core.script = () => ({ effects: [publish("last")], reply: done });
    core.resultScript = () => ({ changes: [change()] });
    await engine.call(list);
    let closed = false;
    const closing = engine.close().then(() => {
      closed = true;
    });
    await settled();
    expect(closed).toBe(false);
    sent.resolve();
    await closing;
    expect(core.inputs.at(-1)?.input).toMatchObject({ case: "publishResult", value: { publishId: "last", ok: true } });
  });

  test("close takes in nothing new from the network", async () => {
    const { engine, core, transport } = await started();
    const sent = Promise.withResolvers<void>();
    transport.publish = () => sent.promise;
    core.script = () => ({ effects: [publish()], reply: done });
    await engine.call(list);
    const closing = engine.close();
    engine.feed({ case: "envelopeReceived", value: { topic: "t", payload: Uint8Array.of(1) } });
    engine.feed(wakeInput);
    sent.resolve();
    await closing;
    expect(core.kinds).toEqual(["listAccounts", "publishResult"]);
  });

  test("close gives up on a publication that hangs, after its grace, and ends a history under way", {
    timeout: 10_000,
  }, async () => {
    const { engine, core, transport } = await started();
    let aborted = 0;
    const hang = (signal: AbortSignal) =>
      new Promise<never>((_, reject) => {
        signal.addEventListener("abort", () => {
          aborted++;
          reject(signal.reason);
        });
      });
    transport.publish = (_topic, _payload, options) => hang(options!.signal);
    transport.queryHistory = async function* (_request, options) {
      yield await hang(options!.signal);
    };
    core.script = ({ input }) => (input.case === "listAccounts" ? { effects: [publish(), query()], reply: done } : {});
    await engine.call(list);
    const began = performance.now();
    await engine.close();
    const took = performance.now() - began;
    expect(took).toBeGreaterThan(2900);
    expect(took).toBeLessThan(5000);
    expect(aborted).toBe(2);
    expect(core.kinds).toEqual(["listAccounts"]);
  });

  test("close waits for a commit that takes longer than the grace, without holding up the event loop", {
    timeout: 15_000,
  }, async () => {
    const { engine, core, storage } = await started();
    storage.guard = () => new Promise((resolve) => setTimeout(resolve, 4000));
    core.script = () => ({ changes: [change()], reply: done });
    const call = engine.call(list);
    let ticks = 0;
    const ticking = setInterval(() => ticks++, 50);
    await engine.close();
    clearInterval(ticking);
    expect((await call).case).toBe("done");
    expect(storage.commits).toBe(1);
    expect(ticks).toBeGreaterThan(40);
  });
});
