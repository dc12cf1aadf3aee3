import type { Effect } from "@chatsdk/abi/host_pb";
import { type Crypto, nobleCrypto } from "@chatsdk/core";
import { nodeCrypto } from "@chatsdk/client";
import { Machine } from "@chatsdk/conformance/machine";
import { text } from "@chatsdk/conformance/people";
import { operationsPerSecond, table } from "./measure.ts";

const MESSAGE = text("x".repeat(100));
const NOW_MS = Date.UTC(2026, 0, 1);

/** Two machines without a network: what one publishes the other is fed. Sealing, records, tags, events: the whole stack. */
class Duo {
  readonly alice: Machine;
  readonly bob: Machine;
  readonly aliceAccount: string;
  readonly bobAccount: string;
  nowMs = NOW_MS;

  constructor(crypto: Crypto, suite: number) {
    const config = { clusterId: 42, maximumSuite: suite };
    this.alice = new Machine("alice", crypto, config);
    this.bob = new Machine("bob", crypto, config);
    this.aliceAccount = this.alice.call(this.nowMs, { case: "createAccount", value: {} }, "account").accountId;
    this.bobAccount = this.bob.call(this.nowMs, { case: "createAccount", value: {} }, "account").accountId;
  }

  invite(): string {
    return this.bob.call(
      this.nowMs,
      { case: "createInvite", value: { accountId: this.bobAccount, reusable: true } },
      "invite",
    ).link;
  }

  accept(link: string): { envelope: Uint8Array; conversationId: string } {
    const effects: Effect[] = [];
    const value = { accountId: this.aliceAccount, link, content: MESSAGE };
    const sent = this.alice.call(++this.nowMs, { case: "acceptInvite", value }, "sentMessage", effects);
    return { envelope: published(effects), conversationId: sent.conversation!.conversationId };
  }

  send(machine: Machine, conversationId: string): Uint8Array {
    const effects: Effect[] = [];
    machine.call(
      ++this.nowMs,
      { case: "sendMessage", value: { conversationId, content: MESSAGE } },
      "sentMessage",
      effects,
    );
    return published(effects);
  }

  receive(machine: Machine, payload: Uint8Array): void {
    const outcome = machine.step(++this.nowMs, { case: "envelopeReceived", value: { topic: "", payload } });
    if (outcome.events.length === 0) throw new Error("the envelope was not accepted");
    machine.events.length = 0;
  }
}

function published(effects: readonly Effect[]): Uint8Array {
  for (const { effect } of effects) if (effect.case === "publish") return effect.value.payload;
  throw new Error("nothing was published");
}

interface Speeds {
  initiate: number;
  respond: number;
  pingPong: number;
  streamOut: number;
  streamIn: number;
}

function measure(crypto: Crypto, suite: number): Speeds {
  return { ...setUp(crypto, suite), ...exchange(crypto, suite) };
}

/** A fresh pair for each batch, so that the disks do not grow under the measurement. */
function setUp(crypto: Crypto, suite: number): Pick<Speeds, "initiate" | "respond"> {
  const initiate: number[] = [];
  const respond: number[] = [];
  for (let batch = 0; batch < 5; batch++) {
    const duo = new Duo(crypto, suite);
    const links = Array.from({ length: 20 }, () => duo.invite());
    let start = performance.now();
    const started = links.map((link) => duo.accept(link));
    initiate.push((links.length * 1000) / (performance.now() - start));
    start = performance.now();
    for (const { envelope } of started) duo.receive(duo.bob, envelope);
    respond.push((links.length * 1000) / (performance.now() - start));
  }
  return { initiate: Math.max(...initiate), respond: Math.max(...respond) };
}

function exchange(crypto: Crypto, suite: number): Omit<Speeds, "initiate" | "respond"> {
  const duo = new Duo(crypto, suite);
  const { envelope, conversationId } = duo.accept(duo.invite());
  duo.receive(duo.bob, envelope);
  let turn = 0;
  const pingPong = operationsPerSecond(() => {
    const [from, to] = turn++ % 2 === 0 ? [duo.bob, duo.alice] : [duo.alice, duo.bob];
    duo.receive(to, duo.send(from, conversationId));
  }, 2);
  const out: number[] = [];
  const into: number[] = [];
  for (let batch = 0; batch < 5; batch++) {
    let start = performance.now();
    const envelopes = Array.from({ length: 100 }, () => duo.send(duo.alice, conversationId));
    out.push(100_000 / (performance.now() - start));
    start = performance.now();
    for (const each of envelopes) duo.receive(duo.bob, each);
    into.push(100_000 / (performance.now() - start));
    duo.receive(duo.alice, duo.send(duo.bob, conversationId));
  }
  return { pingPong, streamOut: Math.max(...out), streamIn: Math.max(...into) };
}

export function speed(): string {
  const rows: (string | number)[][] = [];
  for (const [name, crypto] of [
    ["noble", nobleCrypto],
    ["node:crypto", nodeCrypto],
  ] as const) {
    for (const suite of [1, 2]) {
      const speeds = measure(crypto, suite);
      rows.push([
        name,
        suite,
        ...[speeds.initiate, speeds.respond, speeds.pingPong, speeds.streamOut, speeds.streamIn].map(Math.round),
      ]);
    }
  }
  const head = [
    "primitives",
    "suite",
    "set-up, initiator",
    "set-up, responder",
    "ping-pong",
    "stream, sending",
    "stream, receiving",
  ];
  return table(head, rows);
}
