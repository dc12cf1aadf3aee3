import { create } from "@bufbuild/protobuf";
import type { CoreModule } from "@chatsdk/abi/core-module";
import { CONTRACT_HASH, CONTRACT_VERSION } from "@chatsdk/abi/contract";
import { ErrorCode } from "@chatsdk/abi/errors_pb";
import { ConfigSchema, KeyDerivationSchema } from "@chatsdk/abi/host_pb";
import { ChatError, Core, type Crypto, Entropy, Vault } from "@chatsdk/core";
import { run } from "./storage.ts";

declare const CORE_VERSION: string;

/** `CoreModule` (abi/proto/module.proto) over one core, which `openCore` makes. */
export function coreModule(crypto: Crypto, cryptoName: string): CoreModule {
  let opened: { core: Core; vault: Vault } | undefined;

  function open(): { core: Core; vault: Vault } {
    if (!opened) throw new ChatError(ErrorCode.INVALID_ARGUMENT, "the core is not open; call OpenCore first");
    return opened;
  }

  return {
    describe() {
      return {
        contractVersion: CONTRACT_VERSION,
        contractHash: CONTRACT_HASH,
        coreVersion: CORE_VERSION,
        crypto: cryptoName,
      };
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
      const found = run(core.open());
      opened = { core, vault };
      return { ...found, sealsMessages: vault.sealsMessages };
    },

    step(input) {
      const { core } = open();
      require32Bytes("entropy", input.entropy);
      const outcome = run(core.step(input));
      wipe(input.entropy);
      return { outcome, generation: core.generation };
    },

    commitFailed() {
      open().core.commitFailed();
      return {};
    },

    openMessages({ messages }) {
      const { vault } = open();
      return { messages: messages.map((message) => vault.openMessage(message)) };
    },

    openConversations({ conversations }) {
      const { vault } = open();
      return { conversations: conversations.map((conversation) => vault.openConversation(conversation)) };
    },
  };
}

function require32Bytes(field: string, bytes: Uint8Array): void {
  if (bytes.length !== 32) throw new ChatError(ErrorCode.INVALID_ARGUMENT, `${field}: ${bytes.length} bytes; give 32`);
}

function missing(field: string): ChatError {
  return new ChatError(ErrorCode.INVALID_ARGUMENT, `${field}: missing`);
}

/** The module's own copies: the memory of an instance outlives the call. */
function wipe(...secrets: Uint8Array[]): void {
  for (const secret of secrets) secret.fill(0);
}
