// Two cores in two instances, whole stack: each message is sent, published, received and answered. Prints exchanges per second,
// where the time went, and the memory.  node ... bench/ping-pong.ts [MODULE] [SECONDS]
import { readFileSync } from "node:fs";
import type { MessageInitShape } from "@bufbuild/protobuf";
import type { InputSchema, Outcome, Read } from "@chatsdk/abi/host_pb";
import { Disk } from "@chatsdk/conformance/disk";
import { replyValue } from "@chatsdk/conformance/machine";
import { text } from "@chatsdk/conformance/people";
import type { CoreModuleClient } from "@chatsdk/abi/core-module";
import { connect, type ModuleInstance } from "../host/index.ts";

type InputValue = NonNullable<MessageInitShape<typeof InputSchema>["input"]>;

const [path = "bindings-rust/chatsdk/module/chatsdk.wasm", seconds = "3"] = process.argv.slice(2);
const MESSAGE = text("x".repeat(100));

class Person {
  readonly disk = new Disk();
  readonly client: CoreModuleClient;
  readonly instance: ModuleInstance;
  #drawn = 0;

  constructor(
    module: WebAssembly.Module,
    readonly name: string,
  ) {
    const host = { read: (read: Read) => ({ records: [...this.disk.answer(read)] }) };
    ({ client: this.client, instance: this.instance } = connect(module, host, {
      onStderr: (text) => process.stderr.write(text),
    }));
    const hostKey = this.#entropy();
    const derivation = { derivation: { case: "rawKey", value: {} } } as const;
    const header = this.client.createVault({ derivation, hostKey, entropy: this.#entropy() });
    this.client.openCore({ config: { clusterId: 42 }, header, hostKey });
  }

  step(input: InputValue): Outcome {
    const { outcome } = this.client.step({ nowMs: BigInt(++nowMs), entropy: this.#entropy(), input });
    for (const change of outcome!.changes) this.disk.apply(change);
    return outcome!;
  }

  send(conversationId: string): Uint8Array {
    return published(this.step({ case: "sendMessage", value: { conversationId, content: MESSAGE } }));
  }

  receive(payload: Uint8Array): void {
    const { events } = this.step({ case: "envelopeReceived", value: { topic: "", payload } });
    if (events.length === 0) throw new Error("the envelope was not accepted");
  }

  #entropy(): Uint8Array {
    const bytes = new Uint8Array(32).fill(this.name.length);
    new DataView(bytes.buffer).setUint32(0, this.#drawn++);
    return bytes;
  }
}

function published({ effects }: Outcome): Uint8Array {
  for (const { effect } of effects) if (effect.case === "publish") return effect.value.payload;
  throw new Error("nothing was published");
}

let nowMs = Date.UTC(2026, 0, 1);
const started = performance.now();
const module = await WebAssembly.compile(readFileSync(path));
const compiled = performance.now();
const [alice, bob] = [new Person(module, "alice"), new Person(module, "bob")];
const opened = performance.now();
const { accountId } = replyValue(alice.step({ case: "createAccount", value: {} }), "account");
const { accountId: peer } = replyValue(bob.step({ case: "createAccount", value: {} }), "account");
const { link } = replyValue(bob.step({ case: "createInvite", value: { accountId: peer, reusable: true } }), "invite");
const accepted = alice.step({ case: "acceptInvite", value: { accountId, link, content: MESSAGE } });
const { conversationId } = replyValue(accepted, "sentMessage").conversation!;
bob.receive(published(accepted));
const setUp = performance.now();

/** Processor time of this process: other programs on the machine do not count. */
function cpuMs(): number {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1000;
}

let best = 0;
let count = 0;
for (let part = 0; part < 5; part++) {
  const start = cpuMs();
  let exchanged = 0;
  let elapsed = 0;
  do {
    const [from, to] = count++ % 2 === 0 ? [bob, alice] : [alice, bob];
    to.receive(from.send(conversationId));
    exchanged++;
    elapsed = cpuMs() - start;
  } while (elapsed < Number(seconds) * 200);
  best = Math.max(best, (exchanged * 1000) / elapsed);
}
console.log(
  `compile ${(compiled - started).toFixed(0)} ms, two opened ${(opened - compiled).toFixed(1)} ms, set-up ${(setUp - opened).toFixed(1)} ms, ` +
    `ping-pong ${best.toFixed(0)} per second of processor time, memory ${(alice.instance.memoryBytes / 2 ** 20).toFixed(1)} MiB`,
);
