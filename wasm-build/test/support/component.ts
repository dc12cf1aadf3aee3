import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import type { MessageInitShape } from "@bufbuild/protobuf";
import type { InputSchema, Outcome, Read, VaultHeader } from "@chatsdk/abi/host_pb";
import { Disk } from "../../../conformance/src/disk.ts";
import { type ReplyCase, replyValue, type ReplyValue } from "../../../conformance/src/machine.ts";
import { type Component, type ComponentInstance, serve } from "../../component/node-host.ts";

type InputValue = NonNullable<MessageInitShape<typeof InputSchema>["input"]>;

const BUILD = fileURLToPath(new URL("../../component/build.mjs", import.meta.url));

/** What build.mjs makes of the committed core module. */
export function build(): Uint8Array {
  const folder = mkdtempSync(join(tmpdir(), "chatsdk-component-"));
  try {
    const output = join(folder, "component.wasm");
    execFileSync(process.execPath, [BUILD, "--output", output], { stdio: "pipe" });
    return readFileSync(output);
  } finally {
    rmSync(folder, { recursive: true });
  }
}

/** A core in an instance of the component, over a storage in memory. */
export class Person {
  readonly disk = new Disk();
  readonly hostKey: Uint8Array;
  readonly header: VaultHeader;
  readonly instance: ComponentInstance;
  readonly texts: string[] = [];
  readonly #name: string;
  #drawn = 0;

  constructor(component: Component, name: string) {
    this.#name = name;
    this.instance = component.instantiate(serve({ read: (read: Read) => ({ records: [...this.disk.answer(read)] }) }));
    this.hostKey = this.#entropy();
    const derivation = { derivation: { case: "rawKey", value: {} } } as const;
    const { client } = this.instance;
    this.header = client.createVault({ derivation, hostKey: this.hostKey, entropy: this.#entropy() });
    client.openCore({ config: { clusterId: 42 }, header: this.header, hostKey: this.hostKey });
  }

  /** One step, committed. */
  step(nowMs: number, input: InputValue): Outcome {
    const { outcome } = this.instance.client.step({ nowMs: BigInt(nowMs), entropy: this.#entropy(), input });
    for (const change of outcome!.changes) this.disk.apply(change);
    for (const { event } of outcome!.events)
      if (event.case === "messageReceived") this.texts.push(event.value.message!.text!);
    return outcome!;
  }

  /** A step's reply, and the envelopes that it publishes. */
  call<Case extends ReplyCase>(nowMs: number, input: InputValue, expected: Case): [ReplyValue<Case>, Uint8Array[]] {
    const outcome = this.step(nowMs, input);
    return [replyValue(outcome, expected), published(outcome)];
  }

  #entropy(): Uint8Array {
    const bytes = new Uint8Array(32).fill(this.#name.length);
    new DataView(bytes.buffer).setUint32(0, this.#drawn++);
    return bytes;
  }
}

export function published({ effects }: Outcome): Uint8Array[] {
  return effects.flatMap(({ effect }) => (effect.case === "publish" ? [effect.value.payload] : []));
}
