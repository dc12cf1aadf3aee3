import { DeliveryStatus, FailureReason } from "@chatsdk/abi/api_pb";
import { ErrorCode } from "@chatsdk/abi/errors_pb";
import type { ChatError } from "@chatsdk/core";
import { describe, expect, test } from "vitest";
import { nodeCrypto } from "../../bindings-ts/src/crypto/node-crypto.ts";
import { MAX_FRAME_LENGTH, MAX_SEGMENTS, SEGMENT_LENGTH } from "../../core/src/segmentation/segmentation.ts";
import { censorSequences, reported, watchDelivered } from "../src/chatter.ts";
import { pair, type Person } from "../src/people.ts";
import { CALM, World } from "../src/world.ts";

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;
const STORM = { loss: 0.2, duplication: 0.1, reorder: 20, delayMs: 300, store: false };

function large(length: number, seed = 1): Uint8Array {
  const bytes = new Uint8Array(length);
  for (let i = 0; i < length; i++) bytes[i] = (i * seed + (i >> 8)) & 255;
  return bytes;
}

function sendBytes(person: Person, conversationId: string, payload: Uint8Array): string {
  const content = { domain: 7, tag: 1, version: 1, payload };
  return person.call({ case: "sendMessage", value: { conversationId, content } }, "sentMessage").message!.messageId;
}

/** Hashes of what arrived, by message id; a message that arrived twice has two. */
function arrived(person: Person): Map<string, string[]> {
  const found = new Map<string, string[]>();
  for (const { message } of person.eventsOf("messageReceived")) {
    if (message!.text !== "hello")
      found.set(message!.messageId, [...(found.get(message!.messageId) ?? []), digest(message!.payload)]);
  }
  return found;
}

function digest(bytes: Uint8Array): string {
  return Buffer.from(nodeCrypto.sha256(bytes)).toString("hex");
}

function stored(person: Person, prefix: string): number {
  return person.machine.disk.keysUnder(prefix).length;
}

describe("large contents", () => {
  test("F2 P1 a part that no node took is published again, the others of its message are not", () => {
    const world = new World(3);
    const { alice, bob, conversationId } = pair(world, {}, nodeCrypto);
    let refused = 0;
    world.refuse = ({ publishId }) => publishId.split("/")[2] === "9" && refused++ < 2;
    const before = world.published.length;
    const id = sendBytes(alice, conversationId, large(1_000_000));
    const parts = world.published.length - before;
    world.run(80_000);
    expect(refused).toBeGreaterThan(2);
    const ofMessage = world.published.slice(before).filter(({ publishId }) => publishId.startsWith("m/"));
    expect(ofMessage.length).toBe(parts + 2);
    expect(arrived(bob).size).toBe(1);
    expect(alice.withStatus(DeliveryStatus.DELIVERED)).toContain(id);
  });

  test("F2 P1 without a network a thousand messages wait at a bounded price, and leave in order when it is back", () => {
    const world = new World(8);
    const { alice, bob, conversationId } = pair(world, {}, nodeCrypto);
    world.run(MINUTE);
    world.refuse = () => true;
    const before = world.published.length;
    for (let i = 0; i < 900; i++) {
      alice.send(conversationId, `${i}`);
      world.run(100);
    }
    const hour = world.published.length;
    world.run(HOUR);
    expect(hour - before).toBeLessThan(900 + 16 * 90);
    expect(world.published.length - hour).toBeLessThan(16 * 80);
    world.refuse = () => false;
    const back = world.published.length;
    world.feed(alice.machine, { case: "connectionChanged", value: { online: true } });
    world.run(5 * MINUTE);
    expect(world.published.length - back).toBeLessThan(950);
    expect(bob.texts.slice(1)).toEqual(Array.from({ length: 900 }, (_, i) => `${i}`));
    expect(alice.withStatus(DeliveryStatus.DELIVERED).length).toBe(901);
  });

  test("F2 what waits behind others goes on when the nodes' answers are lost with the process", () => {
    const world = new World(16);
    const { alice, bob, conversationId } = pair(world, {}, nodeCrypto);
    world.run(2 * MINUTE);
    const { machine } = alice;
    world.refuse = ({ from }) => from === "alice";
    const ids = Array.from({ length: 17 }, (_, i) => alice.send(conversationId, `${i}`));
    world.run(502);
    world.refuse = () => false;
    world.fault = (of, input) => (of === machine && input.case === "publishResult" ? "commit refused" : undefined);
    const before = world.published.length;
    world.run(MINUTE, () => world.published.length >= before + 16);
    const offered = new Set(world.published.slice(before).map(({ publishId }) => publishId.split("/")[2]));
    for (const messageId of ids.filter((_, i) => !offered.has(`${i + 2}`)))
      alice.call({ case: "cancelMessage", value: { conversationId, messageId } }, "done");
    world.run(10_000);
    world.switchOff(machine);
    world.fault = () => undefined;
    world.switchOn(machine);
    for (let i = 0; i < 3; i++) alice.send(conversationId, `later ${i}`);
    world.run(HOUR);
    expect(bob.texts.slice(-3)).toEqual(["later 0", "later 1", "later 2"]);
  });

  test("F2 a message that no node ever takes does not hold up the others", () => {
    const world = new World(9);
    const { alice, conversationId } = pair(world, {}, nodeCrypto);
    world.run(MINUTE);
    const bad = new Set<string>();
    world.refuse = ({ publishId }) => bad.has(publishId);
    for (let i = 0; i < 20; i++) {
      world.refuse = ({ publishId }) => publishId.startsWith("m/") && bad.add(publishId).size > 0;
      alice.send(conversationId, `bad ${i}`);
      world.refuse = ({ publishId }) => bad.has(publishId);
    }
    world.run(MINUTE);
    const good = Array.from({ length: 40 }, (_, i) => {
      world.run(2000);
      return alice.send(conversationId, `good ${i}`);
    });
    world.run(30_000);
    const sent = new Set(alice.withStatus(DeliveryStatus.SENT));
    expect(good.filter((id) => !sent.has(id))).toEqual([]);
  });

  test("F2 P1 a connection that comes and goes does not publish again what is under way", () => {
    const world = new World(4);
    const { alice, conversationId } = pair(world, {}, nodeCrypto);
    world.run(MINUTE);
    const before = world.published.length;
    sendBytes(alice, conversationId, large(500_000));
    const parts = world.published.length - before;
    for (const online of [false, true, false, true])
      world.feed(alice.machine, { case: "connectionChanged", value: { online } });
    expect(world.published.length - before).toBe(parts);
    world.switchOff(alice.machine);
    world.switchOn(alice.machine);
    expect(world.published.length - before).toBe(2 * parts);
  });

  test.each([
    [300_000, 5],
    [4_000_000, 62],
    [SEGMENT_LENGTH, 2],
    [SEGMENT_LENGTH - 64, 1],
  ])("F2 %i bytes travel in %i parts and arrive as one message", (length, parts) => {
    const world = new World();
    const { alice, bob, conversationId } = pair(world, {}, nodeCrypto);
    const payload = large(length);
    const before = world.published.length;
    const id = sendBytes(alice, conversationId, payload);
    expect(world.published.length - before).toBe(parts);
    for (const publication of world.published) expect(publication.payload.length).toBeLessThan(150 * 1024);
    world.run(5 * MINUTE);
    expect(arrived(bob)).toEqual(new Map([[id, [digest(payload)]]]));
    expect(bob.rows(conversationId).find((row) => row.messageId === id)!.payload.length).toBe(length);
    expect(alice.withStatus(DeliveryStatus.DELIVERED).filter((other) => other === id)).toEqual([id]);
    expect(alice.withStatus(DeliveryStatus.SENT).filter((other) => other === id)).toEqual([id]);
    expect([stored(bob, "segment/"), stored(bob, "held/"), stored(alice, "out/")]).toEqual([0, 0, 0]);
  });

  test("F2 over the limit a content is refused and nothing changes; just below it is taken", () => {
    const { alice, conversationId } = pair(new World(), {}, nodeCrypto);
    const before = alice.machine.disk.fingerprint();
    for (const length of [MAX_FRAME_LENGTH - 63, 2 * MAX_FRAME_LENGTH]) {
      let code = ErrorCode.ERROR_CODE_UNSPECIFIED;
      try {
        sendBytes(alice, conversationId, new Uint8Array(length));
      } catch (error) {
        code = (error as ChatError).code;
      }
      expect(code).toBe(ErrorCode.CONTENT_TOO_LARGE);
    }
    expect(alice.machine.disk.fingerprint()).toBe(before);
    sendBytes(alice, conversationId, new Uint8Array(MAX_FRAME_LENGTH - 64));
    expect(stored(alice, "out/")).toBe(MAX_SEGMENTS);
  });

  test.each([1, 2])(
    "F2 R1 through loss, reordering and duplication, two large ones among small ones (seed %i)",
    (seed) => {
      const world = new World(seed);
      const { alice, bob, conversationId } = pair(world, {}, nodeCrypto);
      world.weather = STORM;
      const sent = new Map<string, string[]>();
      const send = (person: Person, payload: Uint8Array): string => {
        const id = sendBytes(person, conversationId, payload);
        sent.set(id, [digest(payload)]);
        return id;
      };
      for (let i = 0; i < 20; i++) {
        if (i === 5) send(alice, large(1_500_000, 3));
        if (i === 6) send(alice, large(1_000_000, 5));
        send(alice, large(40, i));
        world.run(100);
      }
      world.run(6 * HOUR);
      expect(arrived(bob)).toEqual(sent);
      const delivered = alice.withStatus(DeliveryStatus.DELIVERED);
      expect([...sent.keys()].every((id) => delivered.includes(id))).toBe(true);
      expect(delivered.length).toBe(new Set(delivered).size);
      expect([stored(bob, "segment/"), stored(bob, "held/"), stored(alice, "out/")]).toEqual([0, 0, 0]);
    },
  );

  test("F2 F4 delivered is said only when all parts are acknowledged", () => {
    const world = new World();
    const { alice, bob, conversationId } = pair(world, {}, nodeCrypto);
    world.weather = { ...CALM, store: false };
    const untrue = watchDelivered(alice, bob, conversationId);
    world.censor = censorSequences(alice, [4]);
    const payload = large(300_000);
    const id = sendBytes(alice, conversationId, payload);
    const after = alice.send(conversationId, "after");
    world.run(30 * MINUTE);
    expect(stored(alice, "out/")).toBe(1);
    expect(alice.withStatus(DeliveryStatus.DELIVERED)).toContain(after);
    expect(alice.withStatus(DeliveryStatus.DELIVERED)).not.toContain(id);
    expect(bob.texts).toEqual(["hello", "after"]);
    world.censor = () => false;
    world.run(6 * HOUR);
    expect(alice.withStatus(DeliveryStatus.DELIVERED)).toContain(id);
    expect(arrived(bob).get(id)).toEqual([digest(payload)]);
    expect(untrue.untrue).toEqual([]);
  });

  test("F2 F4 the same content twice at the same moment is two messages, whatever part is late", () => {
    const world = new World();
    const { alice, bob, conversationId } = pair(world, {}, nodeCrypto);
    world.weather = { ...CALM, store: false };
    const payload = large(100_000);
    world.censor = censorSequences(alice, [3]);
    const ids = [1, 2].map(() => sendBytes(alice, conversationId, payload));
    world.run(10 * MINUTE);
    world.censor = () => false;
    world.run(6 * HOUR);
    expect(new Set(alice.withStatus(DeliveryStatus.DELIVERED))).toEqual(
      new Set([alice.rows(conversationId)[0]!.messageId, ...ids]),
    );
    expect(arrived(bob)).toEqual(new Map(ids.map((id) => [id, [digest(payload)]])));
    expect(stored(bob, "segment/")).toBe(0);
  });

  test("F2 an incomplete set expires after the lifetime of a message, and its sender is told", () => {
    const world = new World();
    const { alice, bob, conversationId } = pair(world, { messageTtlMs: BigInt(DAY) }, nodeCrypto);
    world.weather = { ...CALM, store: false };
    world.censor = censorSequences(alice, [4]);
    const id = sendBytes(alice, conversationId, large(300_000));
    world.run(DAY - HOUR);
    expect(stored(bob, "segment/")).toBe(4);
    world.run(2 * HOUR);
    expect(stored(bob, "segment/")).toBe(0);
    const failed = alice.eventsOf("messageStatusChanged").filter(({ status }) => status === DeliveryStatus.FAILED);
    expect(failed).toMatchObject([{ messageId: id, failureReason: FailureReason.EXPIRED }]);
    expect(reported(bob, "messagesLost").length).toBe(1);
    alice.send(conversationId, "goes on");
    world.run(MINUTE);
    expect(bob.texts).toEqual(["hello", "goes on"]);
  });
});
