import { create, type DescMessage, type MessageShape } from "@bufbuild/protobuf";
import { DoneSchema } from "@chatsdk/abi/api_pb";
import { ErrorCode } from "@chatsdk/abi/errors_pb";
import { ConfigSchema, KeyDerivationSchema } from "@chatsdk/abi/host_pb";
import {
  ConversationBatchSchema,
  type CoreModule,
  CoreOpenedSchema,
  MessageBatchSchema,
  ModuleDescriptionSchema,
  StepResultSchema,
} from "@chatsdk/abi/module_pb";
import { ChatError, Core, type Crypto, Entropy, Vault } from "@chatsdk/core";
import { run } from "./storage.ts";

declare const CONTRACT_VERSION: number;
declare const CONTRACT_HASH: string;
declare const CORE_VERSION: string;

/** One function for each method of the service. */
export type Methods = {
  [Name in keyof typeof CoreModule.method]: (typeof CoreModule.method)[Name] extends {
    input: infer Input extends DescMessage;
    output: infer Output extends DescMessage;
  }
    ? (request: MessageShape<Input>) => MessageShape<Output>
    : never;
};

/** `CoreModule` (abi/proto/module.proto) over one core, which `openCore` makes. */
export function coreModule(crypto: Crypto, cryptoName: string): Methods {
  let opened: { core: Core; vault: Vault } | undefined;

  function open(): { core: Core; vault: Vault } {
    if (!opened) throw new ChatError(ErrorCode.INVALID_ARGUMENT, "the core is not open; call OpenCore first");
    return opened;
  }

  return {
    describe() {
      return create(ModuleDescriptionSchema, {
        contractVersion: CONTRACT_VERSION,
        contractHash: CONTRACT_HASH,
        coreVersion: CORE_VERSION,
        crypto: cryptoName,
      });
    },

    createVault({ derivation = create(KeyDerivationSchema), hostKey, entropy }) {
      require32Bytes("host_key", hostKey);
      require32Bytes("entropy", entropy);
      const header = Vault.create(crypto, derivation, hostKey, new Entropy(crypto, entropy));
      wipe(hostKey, entropy);
      return header;
    },

    rekeyVault({ header, oldHostKey, derivation = create(KeyDerivationSchema), newHostKey, entropy }) {
      if (!header) throw missing("header");
      require32Bytes("old_host_key", oldHostKey);
      require32Bytes("new_host_key", newHostKey);
      require32Bytes("entropy", entropy);
      const rekeyed = Vault.rekey(crypto, header, oldHostKey, derivation, newHostKey, new Entropy(crypto, entropy));
      wipe(oldHostKey, newHostKey, entropy);
      return rekeyed;
    },

    openCore({ config = create(ConfigSchema), header, hostKey }) {
      if (opened) throw new ChatError(ErrorCode.INVALID_ARGUMENT, "the core is open; make another instance");
      if (!header) throw missing("header");
      require32Bytes("host_key", hostKey);
      const vault = Vault.open(crypto, header, hostKey);
      wipe(hostKey);
      const core = new Core(crypto, config, vault);
      const generation = run(core.readGeneration());
      opened = { core, vault };
      return create(CoreOpenedSchema, { generation, sealsMessages: vault.sealsMessages });
    },

    step(input) {
      const { core } = open();
      require32Bytes("entropy", input.entropy);
      const outcome = run(core.step(input));
      wipe(input.entropy);
      return create(StepResultSchema, { outcome, generation: core.generation });
    },

    commitFailed() {
      open().core.commitFailed();
      return create(DoneSchema);
    },

    openMessages({ messages }) {
      const { vault } = open();
      return create(MessageBatchSchema, { messages: messages.map((message) => vault.openMessage(message)) });
    },

    openConversations({ conversations }) {
      const { vault } = open();
      return create(ConversationBatchSchema, {
        conversations: conversations.map((conversation) => vault.openConversation(conversation)),
      });
    },
  };
}

function require32Bytes(field: string, bytes: Uint8Array): void {
  if (bytes.length !== 32)
    throw new ChatError(ErrorCode.INVALID_ARGUMENT, `${field}: ${bytes.length} bytes; give 32`);
}

function missing(field: string): ChatError {
  return new ChatError(ErrorCode.INVALID_ARGUMENT, `${field}: missing`);
}

/** The module's own copies: the memory of an instance outlives the call. */
function wipe(...secrets: Uint8Array[]): void {
  for (const secret of secrets) secret.fill(0);
}
