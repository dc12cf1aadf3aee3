import { create, type MessageInitShape, toBinary } from "@bufbuild/protobuf";
import { ReadReceiptSchema } from "@chatsdk/abi/content_pb";
import { SessionState } from "@chatsdk/abi/api_pb";
import { ErrorCode } from "@chatsdk/abi/errors_pb";
import { ChangeSchema, OutcomeSchema } from "@chatsdk/abi/host_pb";
import { ConversationRecordSchema, StateRecordSchema } from "@chatsdk/abi/records_pb";
import { FrameSchema, type Payload, PayloadSchema, type SdsMessageSchema } from "@chatsdk/abi/wire_pb";
import { Entropy } from "@chatsdk/core";
import { describe, expect, test, vi } from "vitest";
import { nodeCrypto } from "../../bindings-ts/src/crypto/node-crypto.ts";
import { bytesToHex } from "../../core/src/bytes.ts";
import { encodeEnvelope } from "../../core/src/envelope/envelope.ts";
import { decodeInvite } from "../../core/src/invite/invite-link.ts";
import { Keys } from "../../core/src/machine/records.ts";
import { jumpToBeacon } from "../../core/src/ratchet/double-ratchet.ts";
import { awaitedNumbers, HintSource } from "../../core/src/ratchet/hints.ts";
import { MAX_SKIP, MAX_SKIPPED_KEYS } from "../../core/src/ratchet/skipped-keys.ts";
import { MAX_AHEAD } from "../../core/src/reliability/incoming-stream.ts";
import { MAX_SEGMENTS, split } from "../../core/src/segmentation/segmentation.ts";
import { forgeHandshake, Insider } from "../src/adversary.ts";
import { reported } from "../src/chatter.ts";
import type { InputValue } from "../src/machine.ts";
import { pair, Person, text } from "../src/people.ts";
import { Thief } from "../src/thief.ts";
import { CALM, World } from "../src/world.ts";

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;
const KB = 1024;
const MAX = 2 ** 32 - 1;
/** No step may take longer, whatever it is fed; generous, for machines that do other things as well. */
const SLOWEST_MS = 3000;

/** Alice has gone over to the dark side: what she says over her good session comes from an insider. */
function dark(config = {}) {
  const world = new World(101);
  const { alice, bob, conversationId } = pair(world, config, nodeCrypto);
  world.weather = { ...CALM, store: false };
  world.switchOff(alice.machine);
  const insider = new Insider(alice.machine, conversationId);
  let slowestMs = 0;
  const deliver = (payload: Uint8Array): boolean => {
    const start = performance.now();
    const outcome = world.feed(bob.machine, { case: "envelopeReceived", value: { topic: "/t", payload } })!;
    slowestMs = Math.max(slowestMs, performance.now() - start);
    return outcome.changes.length > 0;
  };
  const say = (sds: MessageInitShape<typeof SdsMessageSchema>, payload?: Payload): boolean =>
    deliver(insider.seal(sds, payload));
  const session = () => new Thief(bob.machine).conversation(conversationId).session!;
  const stream = () => new Thief(bob.machine).conversation(conversationId).reliability!;
  return { world, alice, bob, conversationId, insider, deliver, say, session, stream, slowest: () => slowestMs };
}

/** Bytes of the largest result of a step of theirs from now on. */
function largestOutcome({ machine }: Person): () => number {
  let largest = 0;
  machine.watch = (outcome) => {
    largest = Math.max(largest, toBinary(OutcomeSchema, outcome).length);
  };
  return () => largest;
}

/** Bytes of the largest read of theirs from now on. */
function largestRead({ machine: { disk } }: Person): () => number {
  let largest = 0;
  const answer = disk.answer.bind(disk);
  disk.answer = (read) => {
    const found = answer(read);
    largest = Math.max(
      largest,
      found.reduce((sum, { value }) => sum + value.length, 0),
    );
    return found;
  };
  return () => largest;
}

/** A page of history. */
function page(world: World, { machine }: Person, payloads: readonly Uint8Array[]): void {
  const envelopes = payloads.map((payload) => ({ topic: "/t", payload }));
  world.feed(machine, { case: "historyPage", value: { queryId: "h", envelopes, more: true } });
}

/** So many more conversations like this one, each with header keys of its own. */
function multiply({ machine }: Person, conversationId: string, count: number): void {
  const { vault, disk } = machine;
  const { record } = new Insider(machine, conversationId);
  const entropy = new Entropy(nodeCrypto, nodeCrypto.sha256(Buffer.from("copies")));
  const put = (key: string, bytes: Uint8Array): void => {
    const value = vault.sealRecord(key, bytes, entropy);
    disk.apply(create(ChangeSchema, { change: { case: "put", value: { key, value } } }));
  };
  for (let i = 0; i < count; i++) {
    const { receiving, skipped } = record.session!;
    for (const chain of [receiving!, ...skipped]) chain.headerKey = entropy.bytes(64);
    const id = bytesToHex(entropy.bytes(16));
    const key = `conv/${id}`;
    put(key, toBinary(ConversationRecordSchema, record));
    put(Keys.timer(Number(record.timerMs), id), toBinary(StateRecordSchema, create(StateRecordSchema)));
    const tags = vault.tag(new HintSource(nodeCrypto, receiving!.headerKey).hint(receiving!.next));
    disk.apply(create(ChangeSchema, { change: { case: "addTags", value: { key, tags } } }));
  }
}

/** The start of a process that has accepted its old database. */
function rolledBack({ machine }: Person): InputValue {
  machine.restart();
  return { case: "start", value: { rolledBack: true, seenGeneration: machine.seenGeneration + 1n } };
}

function sendInput(conversationId: string, value: string) {
  return { case: "sendMessage" as const, value: { conversationId, content: text(value) } };
}

function message(value: string): Payload {
  return create(PayloadSchema, { kind: { case: "frame", value: { timestampMs: 5n, content: text(value) } } });
}

function part(hash: number, index: number, segmentCount: number, length: number): Payload {
  const entireMessageHash = nodeCrypto.sha256(Buffer.from(String(hash)));
  const value = { entireMessageHash, index, segmentCount, payload: new Uint8Array(length) };
  return create(PayloadSchema, { kind: { case: "segment", value } });
}

describe("a peer with a good session and absurd numbers", () => {
  test.each<[string, MessageInitShape<typeof SdsMessageSchema>, boolean]>([
    ["acknowledges what was never sent", { acknowledged: 7 }, false],
    ["acknowledges the largest number", { acknowledged: MAX }, false],
    ["has received more than there can be", { received: new Uint8Array(MAX_AHEAD / 8 + 1) }, false],
    ["has received megabytes", { received: new Uint8Array(60 * KB).fill(255) }, false],
    ["sends the largest sequence", { sequence: MAX }, true],
    ["sends one sequence too many", { sequence: MAX_AHEAD + 2 }, true],
    ["will send the largest sequence next", { nextSequence: MAX }, false],
    ["abandons the largest sequence", { abandoned: [MAX] }, false],
    ["abandons too many", { abandoned: Array.from({ length: MAX_AHEAD + 1 }, (_, i) => i + 2) }, false],
    ["asks for too many", { repairRequest: Array.from({ length: 4 }, () => ({ messageId: "x" })) }, false],
    ["has a long history", { causalHistory: Array.from({ length: 3 }, () => ({ messageId: "x" })) }, false],
    ["gives a message another's id", { sequence: 3, messageId: "AAAAAAAAAAAAAAAA" }, true],
    ["sends no content", { sequence: 2 }, false],
  ])("F3 R1 %s: refused, nothing changes, the conversation goes on", (_, sds, withPayload) => {
    const { bob, insider, say } = dark();
    const before = bob.machine.disk.fingerprint();
    expect(say(sds, withPayload ? message("absurd") : undefined)).toBe(false);
    expect(bob.machine.disk.fingerprint() === before).toBe(true);
    insider.record.reliability!.nextSequence = 2;
    expect(say({}, message("sober again"))).toBe(true);
    expect(bob.texts.at(-1)).toBe("sober again");
  });

  test("F3 R1 reports of what it has may say anything about messages that were never sent", () => {
    const { bob, conversationId, say, stream } = dark();
    for (let i = 0; i < 5; i++) bob.send(conversationId, `${i}`);
    expect(say({ received: new Uint8Array(MAX_AHEAD / 8).fill(255) })).toBe(true);
    expect(bob.withStatus(3).length).toBe(4);
    expect(stream().peerAcknowledged).toBe(0);
    expect(say({ acknowledged: 5 })).toBe(true);
    expect(say({ acknowledged: 0 })).toBe(true);
    expect(bob.withStatus(3).length).toBe(5);
  });
});

describe("a peer with a good session that wants our traffic", () => {
  test("R1 one that leaves out every other message is asked every 15 seconds at most, and all history as seldom", () => {
    const { world, bob, insider, deliver } = dark();
    world.run(5 * MINUTE);
    const mark = world.published.length;
    let queries = 0;
    bob.machine.watch = ({ effects }) => {
      for (const { effect } of effects) if (effect.case === "queryHistory" && !effect.value.missedOnly) queries++;
    };
    let sequence = 3;
    for (const end = world.nowMs + HOUR; world.nowMs < end; sequence += 2) {
      // The oldest are abandoned, so that it goes on.
      const abandoned = sequence > 400 ? Array.from({ length: 150 }, (_, i) => sequence - 400 + i) : [];
      deliver(insider.seal({ sequence, abandoned: abandoned.filter((n) => n > 1) }, message("x")));
      world.run(3300);
    }
    const most = HOUR / 15_000 + 1;
    expect(world.published.length - mark).toBeLessThanOrEqual(most);
    expect(queries).toBeLessThanOrEqual(most);
    // All was shown, seconds after it came.
    expect(bob.texts.length).toBeGreaterThan((sequence - 3) / 2 - 2);
  });

  test("S1 R1 gaps that follow while the rate limit is used up leave the first one its turn for a repair", () => {
    const { world, bob, conversationId, say, stream } = dark({
      rateLimit: { epochSeconds: 600, messagesPerEpoch: 10 },
    });
    world.nowMs = Math.ceil(world.nowMs / (10 * MINUTE)) * 10 * MINUTE + 1000;
    world.run(1);
    for (let i = 0; i < 10; i++) bob.send(conversationId, `use up ${i}`);
    say({ sequence: 3 }, message("behind a gap"));
    world.run(4000);
    const turn = stream().gapMs;
    expect(Number(turn)).toBeGreaterThan(world.nowMs);
    for (let sequence = 5; sequence < 40; sequence += 2) {
      say({ sequence }, message("behind another"));
      world.run(4000);
      expect(stream().gapMs).toBe(turn);
    }
    expect(bob.texts.length).toBe(1 + 19);
  });
});

describe("much that waits to be sent", () => {
  const large = { domain: 7, tag: 1, version: 1, payload: new Uint8Array(1_000_000).fill(7) };

  /** Bob has sent a megabyte to each of so many people, who are offline; or nobody has taken it. */
  function megabytes(count: number, where: "not taken" | "not received") {
    const world = new World(103);
    const bob = new Person(world, "bob", {}, nodeCrypto);
    const others = Array.from({ length: count }, (_, i) => new Person(world, `${i}`, {}, nodeCrypto));
    const ids = others.map((other) => bob.accept(other.invite()));
    world.run(2 * MINUTE);
    world.weather = { ...CALM, store: false };
    if (where === "not taken") world.refuse = ({ from }) => from === "bob";
    else for (const { machine } of others) world.switchOff(machine);
    for (const conversationId of ids)
      bob.call({ case: "sendMessage", value: { conversationId, content: large } }, "sentMessage");
    world.run(15 * MINUTE);
    return { world, bob, others };
  }
  const received = (others: readonly Person[]) =>
    others.map((other) => other.eventsOf("messageReceived").at(-1)?.message?.payload.length);

  test("R1 a start with a megabyte for each of a dozen people publishes it over many steps, all of it", () => {
    const { world, bob, others } = megabytes(12, "not taken");
    const largest = largestOutcome(bob);
    world.refuse = () => false;
    world.switchOff(bob.machine);
    world.switchOn(bob.machine);
    world.run(MINUTE);
    expect(received(others)).toEqual(others.map(() => large.payload.length));
    expect(largest()).toBeLessThan(8 * 1024 * KB);
  });

  test("R1 resends to a dozen people that are due at one moment leave over many steps", () => {
    const { world, bob, others } = megabytes(12, "not received");
    world.switchOff(bob.machine);
    world.run(24 * HOUR);
    const largest = largestOutcome(bob);
    world.switchOn(bob.machine);
    for (const { machine } of others) world.switchOn(machine);
    world.run(24 * HOUR);
    expect(received(others)).toEqual(others.map(() => large.payload.length));
    expect(largest()).toBeLessThan(8 * 1024 * KB);
  });

  test("R1 a page of repair requests is answered with a megabyte", () => {
    const { world, bob, conversationId, insider } = dark();
    for (let i = 0; i < 6; i++)
      bob.call({ case: "sendMessage", value: { conversationId, content: large } }, "sentMessage");
    world.run(30 * MINUTE);
    const requests = Array.from({ length: 64 }, () =>
      insider.seal({ acknowledged: 0, repairRequest: [{ messageId: "x" }] }),
    );
    const largest = largestOutcome(bob);
    const mark = world.published.length;
    page(world, bob, requests);
    expect(world.published.length - mark).toBeGreaterThan(10);
    expect(largest()).toBeLessThan(8 * 1024 * KB);
  });
});

describe("a peer with a good session that wants our memory", () => {
  test("R1 events of every kind count: a start shows no more of them than memory holds", () => {
    const { world, bob, insider, say } = dark();
    world.forgetful.add(bob.machine);
    let first = insider.nextSequence;
    for (let i = 0; i < 600; i++) {
      say({ abandoned: Array.from({ length: MAX_AHEAD }, (_, n) => first + n) });
      first += MAX_AHEAD;
    }
    const largest = largestOutcome(bob);
    world.switchOff(bob.machine);
    world.switchOn(bob.machine);
    expect(largest()).toBeLessThan(9 * 1024 * KB);
    world.forgetful.delete(bob.machine);
    world.acknowledge(bob.machine);
    world.run(MINUTE);
    expect(reported(bob, "messagesLost").length).toBe(600 * MAX_AHEAD);
  });

  test("R1 a receipt that names what no message is called changes no status: it is a content like any other", () => {
    const { bob, say } = dark();
    const statuses = bob.eventsOf("messageStatusChanged").length;
    const payload = toBinary(ReadReceiptSchema, create(ReadReceiptSchema, { messageId: "x".repeat(50_000) }));
    const content = { domain: 0, tag: 4, version: 1, payload };
    say({}, create(PayloadSchema, { kind: { case: "frame", value: { timestampMs: 5n, content } } }));
    expect(bob.eventsOf("messageStatusChanged").length).toBe(statuses);
    expect(bob.eventsOf("messageReceived").at(-1)!.message!.payload).toEqual(payload);
  });

  test("R1 a gap is a thousand messages at most, is reported once, and ends: two events, some 20 KB each", () => {
    const { world, bob, insider, say, slowest } = dark();
    const before = bob.machine.disk.size();
    for (let i = 0; i < 200; i++) say({ nextSequence: insider.nextSequence + MAX_AHEAD });
    world.run(6 * HOUR);
    for (let i = 0; i < 200; i++) say({ nextSequence: insider.nextSequence + MAX_AHEAD });
    world.run(6 * HOUR);
    expect(reported(bob, "messagesMissing").length).toBe(MAX_AHEAD);
    expect(reported(bob, "messagesLost").length).toBe(MAX_AHEAD);
    expect(bob.eventsOf("messagesMissing").length + bob.eventsOf("messagesLost").length).toBe(2);
    expect(bob.machine.disk.size() - before).toBeLessThan(100 * KB);
    expect(slowest()).toBeLessThan(SLOWEST_MS);
  });

  test("R1 abandoning a thousand messages again and again fills events no more than thirty times what it sends", () => {
    const { world, bob, insider, say, slowest } = dark();
    world.forgetful.add(bob.machine);
    const before = bob.machine.disk.size();
    const envelopes = 20;
    let first = insider.nextSequence;
    for (let i = 0; i < envelopes; i++) {
      expect(say({ abandoned: Array.from({ length: MAX_AHEAD }, (_, n) => first + n) })).toBe(true);
      first += MAX_AHEAD;
    }
    const sent = envelopes * 4 * KB;
    expect(reported(bob, "messagesLost").length).toBe(envelopes * MAX_AHEAD);
    expect(bob.machine.disk.size() - before).toBeLessThan(30 * sent);
    expect(slowest()).toBeLessThan(SLOWEST_MS);
  });

  test("R1 messages behind a gap are held for seconds only, and no more than a thousand of them", () => {
    const { world, bob, say, slowest } = dark();
    for (let ahead = 2; ahead <= MAX_AHEAD + 50; ahead++) say({ sequence: 1 + ahead }, message("x".repeat(500)));
    expect(bob.machine.disk.keysUnder("held/").length).toBe(MAX_AHEAD - 1);
    const start = performance.now();
    world.run(5000);
    expect(performance.now() - start).toBeLessThan(2 * SLOWEST_MS);
    expect(bob.machine.disk.keysUnder("held/")).toEqual([]);
    expect(slowest()).toBeLessThan(SLOWEST_MS);
  });

  test("F2 parts that never make a whole are dropped when no more can come: at most some 1,400 are kept", () => {
    const { bob, say, slowest } = dark();
    let most = 0;
    for (let i = 0; i < 3000; i++) {
      expect(say({}, part(i, 0, MAX_SEGMENTS, 40))).toBe(true);
      most = Math.max(most, bob.machine.disk.keysUnder("segment/").length);
    }
    expect(most).toBeLessThan(400);
    expect(slowest()).toBeLessThan(SLOWEST_MS);
    // Behind a gap as well.
    const gap = dark();
    gap.say({ sequence: 3 }, part(0, 0, MAX_SEGMENTS, 40));
    for (let i = 1; i < 1020; i++) gap.say({ sequence: 3 + i }, part(i, MAX_SEGMENTS - 1, MAX_SEGMENTS, 40));
    gap.world.run(10_000);
    expect(gap.bob.machine.disk.keysUnder("segment/").length).toBeLessThan(1400);
    expect(say({}, message("and now a whole"))).toBe(true);
  });

  test("F2 parts of no whole expire a hundred sequences at a time", () => {
    const { world, bob, say } = dark();
    for (let i = 0; i < 400; i++) say({ sequence: 3 + i }, part(i, 0, MAX_SEGMENTS, 64_000));
    world.run(10_000);
    expect(bob.machine.disk.keysUnder("segment/").length).toBe(400);
    const largest = largestRead(bob);
    world.run(14 * 24 * HOUR + HOUR);
    expect(bob.machine.disk.keysUnder("segment/")).toEqual([]);
    expect(largest()).toBeLessThan(8 * 1024 * KB);
  });

  test("F2 a part that would have begun before the first message is refused", () => {
    const { bob, say } = dark();
    const before = bob.machine.disk.fingerprint();
    expect(say({}, part(1, 5, 9, 40))).toBe(false);
    expect(bob.machine.disk.fingerprint() === before).toBe(true);
  });

  test("F3 chains said to be endless cost some thousand keys each, two thousand together", () => {
    const { world, alice, bob, conversationId, deliver, session, slowest } = dark();
    const turns = 6;
    for (let turn = 0; turn < turns; turn++) {
      const mark = world.published.length;
      bob.send(conversationId, `turn ${turn}`);
      world.run(1000);
      const { payload } = world.published[mark]!;
      alice.machine.step(world.nowMs, { case: "envelopeReceived", value: { topic: "/t", payload } });
      alice.machine.step(world.nowMs, sendInput(conversationId, "starts a chain"));
      const insider = new Insider(alice.machine, conversationId);
      insider.record.session!.previousChainLength = MAX;
      expect(deliver(insider.seal({ acknowledged: 0 }))).toBe(true);
      insider.giveBack();
    }
    const keys = session().skipped.reduce((sum, { numbers }) => sum + numbers.length, 0);
    expect(keys).toBe(MAX_SKIPPED_KEYS);
    expect(bob.machine.disk.tags.size).toBeLessThan(MAX_SKIPPED_KEYS + 400);
    expect(bob.machine.disk.size(`conv/${conversationId}`)).toBeLessThan(200 * KB);
    expect(slowest()).toBeLessThan(SLOWEST_MS);
    bob.send(conversationId, "still able");
    expect(bob.machine.disk.keysUnder("out/").length).toBe(turns + 1);
  });

  test("F3 R1 skipped keys of dozens of conversations that end at one moment", () => {
    const world = new World(102);
    const bob = new Person(world, "bob", {}, nodeCrypto);
    const link = bob.invite(true);
    const insiders = Array.from({ length: 64 }, (_, i) => {
      const other = new Person(world, `${i}`, {}, nodeCrypto);
      const conversationId = other.accept(link);
      world.run(3000);
      world.switchOff(other.machine);
      return new Insider(other.machine, conversationId);
    });
    world.weather = { ...CALM, store: false };
    for (const far of [1, 768, 1536, 2304]) {
      const envelopes = insiders.map((insider) => {
        if (far > 1) jumpToBeacon(nodeCrypto, insider.record.session!, far);
        return insider.seal({}, message("far"));
      });
      page(world, bob, envelopes);
    }
    expect(bob.machine.disk.tags.size).toBeGreaterThan(64 * MAX_SKIPPED_KEYS);
    world.run(8 * 24 * HOUR);
    expect(bob.machine.disk.tags.size).toBeLessThan(64 * 1000);
  });

  test("F3 whatever is awaited can be read: no beacon is further ahead than a message may skip", () => {
    const furthest = (wide: boolean) =>
      Math.max(...Array.from({ length: 3000 }, (_, next) => Math.max(...awaitedNumbers(next, wide)) - next));
    expect(furthest(false)).toBeLessThanOrEqual(MAX_SKIP);
    expect(furthest(true)).toBeLessThanOrEqual(MAX_SKIP);
    const { world, bob, insider, say } = dark();
    say({ sequence: 2 }, message("a"));
    say({ sequence: 4 }, message("b, and one before it was lost"));
    world.run(20_000);
    expect(insider.record.session!.sending!.next).toBeLessThan(24);
    jumpToBeacon(nodeCrypto, insider.record.session!, 1024);
    say({ sequence: 5 }, message("after the silence"));
    expect(bob.texts).toContain("after the silence");
  });

  test("R1 what a gap has held back is shown a megabyte at a time, in order, also by a process that starts in between", () => {
    const { world, bob, say } = dark();
    const largest = largestOutcome(bob);
    const texts = Array.from({ length: 200 }, (_, i) => `${i} ${"x".repeat(60_000)}`);
    for (const [i, value] of texts.entries()) say({ sequence: 3 + i }, message(value));
    let wakes = 0;
    world.fault = (_, { case: input }) => (input === "wake" && ++wakes === 5 ? "before the commit" : undefined);
    world.run(3100);
    expect(bob.texts.length).toBeGreaterThan(20);
    world.run(10_000);
    expect(wakes).toBeGreaterThan(10);
    expect(bob.texts.slice(1).map((value) => value.slice(0, 4))).toEqual(texts.map((value) => value.slice(0, 4)));
    expect(bob.machine.disk.keysUnder("held/")).toEqual([]);
    expect(largest()).toBeLessThan(8 * 1024 * KB);
    expect(say({}, message("goes on"))).toBe(true);
    expect(bob.texts.at(-1)).toBe("goes on");
  });

  /** Alice's 200 messages of 60 KB, and dozens of large ones that lack a part, behind one that is missing. */
  function flood({ say, insider }: ReturnType<typeof dark>): { beginnings: string[]; missing: string } {
    const expected: string[] = [];
    let sequence = 3;
    for (let i = 0; i < 30; i++) {
      const large = split(create(FrameSchema, { timestampMs: 5n, content: text(`${i} ${"x".repeat(300_000)}`) }));
      for (const payload of large) say({ sequence: sequence++ }, payload);
      for (let j = 0; j < 6; j++) say({ sequence: sequence++ }, message(`${i}.${j} ${"x".repeat(60_000)}`));
      expected.push(`${i}`, ...Array.from({ length: 6 }, (_, j) => `${i}.${j}`));
    }
    return { beginnings: expected, missing: insider.messageId(2) };
  }
  const firstWords = (person: Person): string[] => person.texts.map((value) => value.split(" ")[0]!);

  test("F4 a machine that starts from an old copy in which megabytes are held shows them a few at a time, and names once what is lost", () => {
    const all = dark();
    const { world, bob } = all;
    const { beginnings: expected, missing } = flood(all);
    const largest = largestOutcome(bob);
    world.switchOff(bob.machine);
    world.switchOn(bob.machine, true);
    expect(bob.texts.length).toBeLessThan(30);
    world.run(1000);
    expect(firstWords(bob)).toEqual(["hello", ...expected]);
    expect(reported(bob, "messagesLost")).toEqual([missing]);
    expect(largest()).toBeLessThan(8 * 1024 * KB);
    bob.call({ case: "repairConversation", value: { conversationId: all.conversationId } }, "done");
    world.run(HOUR);
    expect(reported(bob, "messagesLost")).toEqual([missing]);
    expect(bob.machine.disk.keysUnder("held/").length + bob.machine.disk.keysUnder("segment/").length).toBe(0);
  });

  test("F4 a repair while megabytes are held is refused for seconds, and loses nothing of them", () => {
    const all = dark();
    const { world, bob, conversationId } = all;
    const { beginnings: expected, missing } = flood(all);
    const before = bob.machine.disk.fingerprint();
    const repair = () => bob.call({ case: "repairConversation", value: { conversationId } }, "done");
    expect(repair).toThrow(expect.objectContaining({ code: ErrorCode.REPAIR_TOO_SOON, retryable: true }));
    expect(bob.machine.disk.fingerprint() === before).toBe(true);
    world.run(4000);
    repair();
    expect(firstWords(bob)).toEqual(["hello", ...expected]);
    expect(reported(bob, "messagesLost")).toEqual([missing]);
  });

  test.each([
    ["in time", 1000],
    ["late", 10_000],
  ])("R1 a page of history that completes large messages by the dozen, %s, shows them a few at a time", (_, waitMs) => {
    const { world, bob, insider, say } = dark();
    const texts = Array.from({ length: 12 }, (_, i) => `${i} ${"x".repeat(300_000)}`);
    const last: Uint8Array[] = [];
    let sequence = 3;
    for (const value of texts) {
      const parts = split(create(FrameSchema, { timestampMs: 5n, content: text(value) }));
      for (const payload of parts.slice(0, -1)) say({ sequence: sequence++ }, payload);
      last.push(insider.seal({ sequence: sequence++ }, parts.at(-1)));
    }
    // "In time" it waits for one before all of them.
    if (waitMs < 3000) last.unshift(insider.seal({ sequence: 2 }, message("the first")));
    world.run(waitMs);
    expect(bob.texts).toEqual(["hello"]);
    const largest = largestOutcome(bob);
    page(world, bob, last);
    expect(bob.texts.length).toBeLessThan(7);
    world.run(1000);
    expect(bob.texts.slice(waitMs < 3000 ? 2 : 1).map((value) => value.slice(0, 3))).toEqual(
      texts.map((value) => value.slice(0, 3)),
    );
    // Nothing had come after the last one.
    expect(bob.eventsOf("messageReceived").filter(({ recovered }) => recovered).length).toBe(waitMs < 3000 ? 0 : 11);
    expect(largest()).toBeLessThan(10 * 1024 * KB);
    expect(bob.machine.disk.keysUnder("held/").length + bob.machine.disk.keysUnder("segment/").length).toBe(0);
  });

  test("R1 a thousand parts of no whole behind a gap are put into their sets a megabyte at a time", () => {
    const { world, bob, say } = dark();
    for (let i = 0; i < 300; i++) say({ sequence: 3 + i }, part(i, 0, MAX_SEGMENTS, 64_000));
    const largest = largestOutcome(bob);
    world.run(20_000);
    expect(bob.machine.disk.keysUnder("held/")).toEqual([]);
    expect(largest()).toBeLessThan(4 * 1024 * KB);
  });

  test("R1 once a step has shown enough, more envelopes of its page read nothing of what is held", () => {
    const { world, bob, insider, say } = dark();
    for (let i = 0; i < 200; i++) say({ sequence: 3 + i }, message("x".repeat(60_000)));
    const envelopes = [insider.seal({ sequence: 2 }, message("first"))];
    for (let i = 0; i < 99; i++) envelopes.push(insider.seal({ sequence: 203 + i }, message("later")));
    let bytes = 0;
    const { disk } = bob.machine;
    const answer = disk.answer.bind(disk);
    disk.answer = (read) => {
      const found = answer(read);
      bytes += found.reduce((sum, { value }) => sum + value.length, 0);
      return found;
    };
    page(world, bob, envelopes);
    expect(bytes).toBeLessThan(8 * 1024 * KB);
    world.run(10_000);
    expect(bob.texts.length).toBe(1 + 1 + 200 + 99);
  });

  /** `big` makes a step show enough. */
  function parts() {
    const partsOf = (value: string) => split(create(FrameSchema, { timestampMs: 5n, content: text(value) }));
    return { big: partsOf(`big ${"x".repeat(1_200_000)}`), small: partsOf(`small ${"x".repeat(150_000)}`) };
  }
  const beginnings = (person: Person): string[] => person.texts.map((value) => value.slice(0, 5));

  test.each(["the same page", "a later page"])(
    "F4 two late parts of one message after a step has shown enough, the second in %s",
    (where) => {
      const { world, bob, insider, say } = dark();
      const { big, small } = parts();
      // The second is missing.
      let sequence = 3;
      for (const payload of big.slice(0, -1)) say({ sequence: sequence++ }, payload);
      const late = [big.at(-1), small[0], small[1]].map((payload) => insider.seal({ sequence: sequence++ }, payload));
      say({ sequence: sequence++ }, small[2]);
      world.run(10_000);
      if (where === "the same page") page(world, bob, late);
      else {
        page(world, bob, late.slice(0, 2));
        page(world, bob, late.slice(2));
      }
      world.run(60_000);
      expect(beginnings(bob)).toEqual(["hello", "big x", "small"]);
    },
  );

  test("F4 a message begun, the rest of which is held behind hundreds when a page closes the gap", () => {
    const { world, bob, insider, say } = dark();
    const { big, small } = parts();
    let sequence = 2;
    for (const payload of big.slice(0, -1)) say({ sequence: sequence++ }, payload);
    const lastOfBig = insider.seal({ sequence: sequence++ }, big.at(-1));
    say({ sequence: sequence++ }, small[0]);
    const second = insider.seal({ sequence: sequence++ }, small[1]);
    // What is behind the gap is shown, so that the set begins.
    world.run(10_000);
    say({ sequence: sequence++ }, small[2]);
    for (let i = 0; i < 200; i++) say({ sequence: sequence++ }, message(`${i}`));
    page(world, bob, [lastOfBig, second]);
    world.run(60_000);
    expect(beginnings(bob).slice(0, 3)).toEqual(["hello", "big x", "small"]);
    expect(bob.texts.length).toBe(203);
  });

  test("F4 a late part that waits for the next step: its set is not taken for dead meanwhile, though hundreds have followed", () => {
    const { world, bob, insider, say } = dark();
    const { big, small } = parts();
    let sequence = 2;
    for (const payload of big.slice(0, -1)) say({ sequence: sequence++ }, payload);
    const lastOfBig = insider.seal({ sequence: sequence++ }, big.at(-1));
    say({ sequence: sequence++ }, small[0]);
    const secondOfSmall = insider.seal({ sequence: sequence++ }, small[1]);
    say({ sequence: sequence++ }, small[2]);
    for (let i = 0; i < 300; i++) say({ sequence: sequence++ }, message(`${i}`));
    world.run(10_000);
    page(world, bob, [lastOfBig, secondOfSmall]);
    world.run(60_000);
    expect(beginnings(bob).filter((value) => /big|small/.test(value))).toEqual(["big x", "small"]);
    expect(reported(bob, "messagesMissing").length).toBe(2);
    say({ sequence: sequence++ }, message("and on"));
    expect(bob.machine.disk.keysUnder("segment/")).toEqual([]);
  });

  test("F4 a message that comes in its turn between the steps that show what is held follows them at once", () => {
    const { world, bob, insider, say, deliver } = dark();
    for (let sequence = 3; sequence < 100; sequence++)
      if (sequence !== 60) say({ sequence }, message("x".repeat(60_000)));
    const next = insider.seal({ sequence: 100 }, message("next"));
    world.run(3010, () => bob.texts.length > 3);
    deliver(next);
    world.run(1000);
    expect(bob.texts.at(-1)).toBe("next");
    expect(bob.texts.length).toBe(98);
  });

  test("F4 what was reported missing and waits for the next step is shown as recovered", () => {
    const { world, bob, insider, say, deliver } = dark();
    const late = insider.seal({ sequence: 80 }, message("late"));
    for (let sequence = 3; sequence < 100; sequence++)
      if (sequence !== 80) say({ sequence }, message("x".repeat(60_000)));
    world.run(3010, () => bob.texts.length > 3);
    expect(bob.texts.length).toBeLessThan(70);
    deliver(late);
    world.run(10_000);
    const shown = bob.eventsOf("messageReceived").find((event) => event.message!.text === "late")!;
    expect(reported(bob, "messagesMissing")).toContain(shown.message!.messageId);
    expect(shown.recovered).toBe(true);
  });

  test("R1 what is to be shown goes on after a failure that has put off the conversation's timer", () => {
    const { world, bob, say } = dark();
    for (let i = 0; i < 100; i++) say({ sequence: 3 + i }, message("x".repeat(60_000)));
    world.run(3010, () => bob.texts.length > 3);
    const { disk } = bob.machine;
    const answer = disk.answer.bind(disk);
    disk.answer = (read) => {
      const found = answer(read);
      const isHeld = read.read.case === "scan" && read.read.value.prefix.startsWith("held/");
      return isHeld ? found.map(({ key, value }) => ({ key, value: new Uint8Array(value.length) })) : found;
    };
    world.run(100);
    expect(bob.texts.length).toBeLessThan(101);
    disk.answer = answer;
    world.run(2 * HOUR);
    expect(bob.texts.length).toBe(101);
  });

  test("R1 synchronization messages leave nothing behind, however many", () => {
    const { bob, say, slowest } = dark();
    say({});
    const size = bob.machine.disk.size();
    const tags = bob.machine.disk.tags.size;
    for (let i = 0; i < 3000; i++) expect(say({ acknowledged: 0, nextSequence: 2 })).toBe(true);
    expect(bob.machine.disk.size() - size).toBeLessThan(2 * KB);
    expect(bob.machine.disk.tags.size).toBeLessThan(tags + 100);
    expect(slowest()).toBeLessThan(SLOWEST_MS);
  });
});

describe("a peer with a good session that wants our traffic", () => {
  const publishedBy = (person: Person, since: number): number =>
    person.world.published.slice(since).filter(({ from }) => from === person.machine.name).length;

  test("F4 asking for acknowledgements all the time brings one in fifteen seconds", () => {
    const { world, bob, say } = dark();
    world.run(5 * MINUTE);
    const mark = world.published.length;
    for (let i = 0; i < 600; i++) {
      say({ acknowledgementRequested: true });
      world.run(1000);
    }
    expect(publishedBy(bob, mark)).toBeLessThanOrEqual((10 * MINUTE) / 15_000 + 1);
    expect(publishedBy(bob, mark)).toBeGreaterThan(10);
  });

  test("R1 sending the same message again and again under new keys brings no more", () => {
    const { world, bob, say } = dark();
    world.run(5 * MINUTE);
    const mark = world.published.length;
    for (let i = 0; i < 600; i++) {
      say({ sequence: 2 }, message("again"));
      world.run(1000);
    }
    expect(bob.texts).toEqual(["hello", "again"]);
    expect(publishedBy(bob, mark)).toBeLessThanOrEqual((10 * MINUTE) / 15_000 + 1);
  });

  test("R1 asking for repairs all the time brings each message some sixteen times, then it is given up", () => {
    const { world, bob, conversationId, say } = dark({ resendAfterMs: 1e9 });
    for (let i = 0; i < 50; i++) bob.send(conversationId, `${i}`);
    const mark = world.published.length;
    const lacks = {
      acknowledged: 0,
      received: new Uint8Array(7).fill(0, 0, 6).fill(1, 6),
      repairRequest: [{ messageId: "x" }],
    };
    for (let i = 0; i < 1500; i++) {
      say(lacks);
      world.run(10_000);
    }
    const repairs = world.published.slice(mark).filter(({ publishId }) => publishId.startsWith("m/"));
    expect(repairs.length).toBeLessThanOrEqual(50 * 16);
    expect(bob.machine.disk.keysUnder("out/")).toEqual([]);
  });
});

describe("a peer with a good session that wants our order", () => {
  test("R1 Lamport times at the end of time are cut to an hour ahead, in the order they came", () => {
    const { world, bob, conversationId, say, stream } = dark();
    const hour = BigInt(world.nowMs + HOUR);
    for (const lamportTimestamp of [2n ** 64n - 1n, 2n ** 63n, 2n ** 64n - 1n]) {
      expect(say({ lamportTimestamp }, message(`${lamportTimestamp}`))).toBe(true);
    }
    expect(stream().lamport).toBe(hour + 2n);
    bob.send(conversationId, "mine");
    const rows = bob.rows(conversationId).toSorted((a, b) => Number(a.lamport - b.lamport));
    expect(rows.map(({ text: value }) => value)).toEqual([
      "hello",
      `${2n ** 64n - 1n}`,
      `${2n ** 63n}`,
      `${2n ** 64n - 1n}`,
      "mine",
    ]);
    expect(rows.at(-1)!.lamport).toBe(hour + 3n);
    world.run(2 * HOUR);
    bob.send(conversationId, "later");
    expect(bob.rows(conversationId).find(({ text: value }) => value === "later")!.lamport).toBe(BigInt(world.nowMs));
  });
});

describe("hundreds of peers with good sessions", () => {
  /** Four envelopes of each peer make its conversation's record as large as it gets. */
  function swollen() {
    const { world, bob, conversationId, insider, say } = dark();
    for (const beacon of [1, 768, 1536, 2304]) {
      jumpToBeacon(nodeCrypto, insider.record.session!, beacon);
      say({}, message("after a jump"));
    }
    expect(bob.machine.disk.size(`conv/${conversationId}`)).toBeGreaterThan(64 * KB);
    multiply(bob, conversationId, 200);
    expect(bob.machine.disk.size("conv/")).toBeGreaterThan(12 * 1024 * KB);
    return { world, bob, conversationId, read: largestRead(bob), largest: largestOutcome(bob) };
  }
  const READ_AT_ONCE = 4 * 1024 * KB;
  const conversationTags = ({ machine }: Person) =>
    [...machine.disk.tags.values()].filter((key) => key.startsWith("conv/"));

  test("U2 a link is accepted without a look at the conversations", () => {
    const { world, bob, read, largest } = swollen();
    const carol = new Person(world, "carol", {}, nodeCrypto);
    bob.accept(carol.invite(), "to carol");
    world.run(1000);
    expect(carol.texts).toEqual(["to carol"]);
    expect(read()).toBeLessThan(READ_AT_ONCE / 4);
    expect(largest()).toBeLessThan(200 * KB);
  });

  test("F3 a start from an old copy reads a few conversations at a time, and forgets all their tags without naming them", () => {
    const { world, bob, read } = swollen();
    expect(conversationTags(bob).length).toBeGreaterThan(2000 + 200);
    const outcome = bob.machine.step(world.nowMs, rolledBack(bob));
    const rows = outcome.changes.flatMap(({ change }) => (change.case === "putConversation" ? [change.value] : []));
    expect(rows.length).toBe(201);
    expect(new Set(rows.map(({ sessionState }) => sessionState))).toEqual(new Set([SessionState.LOST]));
    expect(conversationTags(bob)).toEqual([]);
    expect(read()).toBeLessThan(READ_AT_ONCE);
    expect(toBinary(OutcomeSchema, outcome).length).toBeLessThan(201 * 2 * KB);
  });

  test("R1 a start serves what is due a few at a time, and acknowledges after it has asked for history", () => {
    const { world, bob, largest } = swollen();
    const due = Number(
      new Thief(bob.machine).conversation(bob.machine.disk.conversations.keys().next().value!).timerMs,
    );
    expect(due).toBeLessThan(world.nowMs + 2 * MINUTE);
    world.switchOff(bob.machine);
    world.run(HOUR);
    const mark = world.published.length;
    world.switchOn(bob.machine);
    expect(world.published.length).toBe(mark);
    world.run(3 * MINUTE);
    expect(largest()).toBeLessThan(8 * 1024 * KB);
    expect(world.published.length - mark).toBeGreaterThan(200);
  });

  test("R1 a start publishes what no node has taken, for a few of them at a time", () => {
    const { world, bob, largest } = swollen();
    const ids = bob.machine.disk.keysUnder("conv/").map((key) => key.slice("conv/".length));
    world.refuse = () => true;
    for (const id of ids) bob.send(id, "not taken");
    world.switchOff(bob.machine);
    world.refuse = () => false;
    const mark = world.published.length;
    world.switchOn(bob.machine);
    expect(world.published.length - mark).toBeGreaterThan(30);
    world.run(MINUTE);
    const sent = world.published.slice(mark).filter(({ publishId }) => publishId.startsWith("m/"));
    expect(new Set(sent.map(({ publishId }) => publishId.split("/")[1]))).toEqual(new Set(ids));
    expect(largest()).toBeLessThan(8 * 1024 * KB);
  });

  test("F1 an account is deleted with them, a few at a time", () => {
    const { bob, read, largest } = swollen();
    bob.call({ case: "deleteAccount", value: { accountId: bob.accountId } }, "done");
    expect(bob.machine.disk.keysUnder("conv/")).toEqual([]);
    expect(bob.machine.disk.tags.size).toBe(0);
    expect(read()).toBeLessThan(READ_AT_ONCE);
    expect(largest()).toBeLessThan(201 * 2 * KB);
  });

  test("F3 what a start from an old copy does for a conversation does not grow with their number", () => {
    const { world, bob, conversationId } = dark();
    multiply(bob, conversationId, 400);
    const compared = vi.spyOn(String.prototype, "startsWith");
    const outcome = bob.machine.step(world.nowMs, rolledBack(bob));
    const { length } = compared.mock.calls;
    compared.mockRestore();
    expect(outcome.changes.filter(({ change }) => change.case === "putConversation").length).toBe(401);
    expect(length).toBeLessThan(400 * 100);
  });
});

describe("somebody who holds a link", () => {
  test("U2 conversations started by the hundred cost a bounded part each, in memory and in time", () => {
    const world = new World(102);
    const bob = new Person(world, "bob", {}, nodeCrypto);
    const invite = decodeInvite(nodeCrypto, bob.invite(true));
    const take = (i: number): number => {
      const seed = nodeCrypto.sha256(Buffer.from(`mallory ${i}`));
      const payload = forgeHandshake(nodeCrypto, invite, seed, `set-up ${i}`);
      const start = performance.now();
      world.feed(bob.machine, { case: "envelopeReceived", value: { topic: "/t", payload } });
      return performance.now() - start;
    };
    take(0);
    const size = bob.machine.disk.size();
    const tags = bob.machine.disk.tags.size;
    const times = Array.from({ length: 300 }, (_, i) => take(i + 1));
    expect(bob.machine.disk.conversations.size).toBe(301);
    expect((bob.machine.disk.size() - size) / 300).toBeLessThan(12 * KB);
    expect((bob.machine.disk.tags.size - tags) / 300).toBeLessThan(60);
    expect(Math.max(...times)).toBeLessThan(SLOWEST_MS);
  });
});

describe("a stranger", () => {
  test("U2 unknown envelopes cost little, with 256 invites open and a hundred conversations", () => {
    const world = new World(103);
    const bob = new Person(world, "bob", {}, nodeCrypto);
    for (let i = 0; i < 256; i++) bob.invite();
    const before = bob.machine.disk.fingerprint();
    const start = performance.now();
    for (let i = 0; i < 500; i++) {
      const payload = encodeEnvelope(nodeCrypto.sha256(Buffer.from(`${i}`)).slice(0, 8), new Uint8Array(400));
      bob.machine.step(world.nowMs, { case: "envelopeReceived", value: { topic: "/t", payload } });
    }
    expect((performance.now() - start) / 500).toBeLessThan(100);
    expect(bob.machine.disk.fingerprint() === before).toBe(true);
  });
});
