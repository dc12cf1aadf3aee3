import { create, type MessageInitShape } from "@bufbuild/protobuf";
import type { CoreModuleClient } from "@chatsdk/abi/core-module";
import { ConfigSchema, InputSchema } from "@chatsdk/abi/host_pb";
import { type StepResult, StepResultSchema } from "@chatsdk/abi/module_pb";
import { Core, type Crypto, Entropy, type Steps, Vault } from "@chatsdk/core";
import { connect, type ModuleInstance } from "../../wasm-build/host/index.ts";
import type { Engine, Opening, Reader } from "./conversation.ts";

const CONFIG = { clusterId: 42 };

/** The core as TypeScript runs it: no module, no boundary. */
export class DirectEngine implements Engine {
  readonly memoryBytes = 0;
  readonly #crypto: Crypto;
  #core: Core | undefined;
  #reader: Reader | undefined;

  constructor(crypto: Crypto) {
    this.#crypto = crypto;
  }

  open({ derivation, hostKey, entropy }: Opening, reader: Reader): void {
    const header = Vault.create(this.#crypto, derivation, hostKey, new Entropy(this.#crypto, entropy));
    this.#core = new Core(this.#crypto, create(ConfigSchema, CONFIG), Vault.open(this.#crypto, header, hostKey));
    this.#reader = reader;
    this.#drive(this.#core.open());
  }

  step(input: MessageInitShape<typeof InputSchema>): StepResult {
    const outcome = this.#drive(this.#core!.step(create(InputSchema, input)));
    return create(StepResultSchema, { outcome, generation: this.#core!.generation });
  }

  #drive<Result>(steps: Steps<Result>): Result {
    let next = steps.next();
    while (!next.done) next = steps.next(this.#reader!(next.value));
    return next.value;
  }
}

/** An instance of the core module. */
export class ModuleEngine implements Engine {
  readonly #client: CoreModuleClient;
  readonly #instance: ModuleInstance;
  #reader: Reader | undefined;

  constructor(module: WebAssembly.Module) {
    const host = { read: (read: Parameters<Reader>[0]) => ({ records: [...this.#reader!(read)] }) };
    const onStderr = (text: string) => process.stderr.write(text);
    ({ client: this.#client, instance: this.#instance } = connect(module, host, { onStderr }));
  }

  get memoryBytes(): number {
    return this.#instance.memoryBytes;
  }

  open({ derivation, hostKey, entropy }: Opening, reader: Reader): void {
    this.#reader = reader;
    const header = this.#client.createVault({ derivation, hostKey, entropy });
    this.#client.openCore({ config: CONFIG, header, hostKey });
  }

  step(input: MessageInitShape<typeof InputSchema>): StepResult {
    return this.#client.step(input);
  }
}
