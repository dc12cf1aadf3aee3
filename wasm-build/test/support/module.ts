import { readFileSync } from "node:fs";
import type { MessageInitShape } from "@bufbuild/protobuf";
import type { InputSchema, Outcome, Read, VaultHeader } from "@chatsdk/abi/host_pb";
import { Disk } from "@chatsdk/conformance/disk";
import { connect, type ModuleOptions } from "../../host/index.ts";

export type InputValue = NonNullable<MessageInitShape<typeof InputSchema>["input"]>;

export const HOST_KEY = Uint8Array.from({ length: 32 }, (_, index) => 0x81 + 5 * index);
export const moduleBytes = readFileSync(new URL("../../../bindings-rust/chatsdk/module/chatsdk.wasm", import.meta.url));
export const module = new WebAssembly.Module(moduleBytes);
const derivation = { derivation: { case: "rawKey", value: {} } } as const;

/** An instance with a disk in memory, and inputs at a fixed time. */
export class Host {
  readonly disk = new Disk();
  readonly reads: Read[] = [];
  /** Answers reads instead of the disk. */
  answer: (read: Read) => { records: { key: string; value: Uint8Array }[] };
  readonly client;
  readonly instance;
  #nowMs = Date.UTC(2026, 0, 1);

  constructor(options: Omit<ModuleOptions, "hostCall"> = {}) {
    this.answer = (read) => ({ records: [...this.disk.answer(read)] });
    const read = (request: Read) => {
      this.reads.push(request);
      return this.answer(request);
    };
    ({ client: this.client, instance: this.instance } = connect(module, { read }, options));
  }

  /** With an open core over a new database. */
  static open(options: Omit<ModuleOptions, "hostCall"> = {}): Host {
    const host = new Host(options);
    host.openCore(host.newHeader());
    return host;
  }

  newHeader(entropy = entropyOf(0)): VaultHeader {
    return this.client.createVault({ derivation, hostKey: HOST_KEY.slice(), entropy });
  }

  openCore(header: VaultHeader, hostKey = HOST_KEY.slice()): void {
    this.client.openCore({ config: { clusterId: 42 }, header, hostKey });
  }

  /** A step, not committed. */
  prepare(input: InputValue, entropy: Uint8Array): Outcome {
    return this.client.step({ nowMs: BigInt(this.#nowMs), entropy, input }).outcome!;
  }

  step(input: InputValue, entropy: Uint8Array): Outcome {
    const outcome = this.prepare(input, entropy);
    for (const change of outcome.changes) this.disk.apply(change);
    this.#nowMs++;
    return outcome;
  }
}

export function entropyOf(number: number): Uint8Array {
  const bytes = new Uint8Array(32).fill(0xe7);
  new DataView(bytes.buffer).setUint32(0, number);
  return bytes;
}
