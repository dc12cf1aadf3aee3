/**
 * The protocol core of the Chat SDK: private 1:1 messaging for Waku as a pure state machine. `Core` is the door; what a
 * host needs around it is in @chatsdk/client. docs/spec is the protocol.
 */
export { BASIC_DOMAIN, BASIC_VERSION, BasicTag } from "./content/basic-types.ts";
export type { Crypto } from "./crypto/crypto.ts";
export { nobleCrypto } from "./crypto/noble.ts";
export { Entropy } from "./entropy.ts";
export { ChatError, quoted } from "./errors.ts";
export { INVITE_PREFIX } from "./invite/invite-link.ts";
export { Core, type Opened } from "./machine/core.ts";
export type { Answer, Steps } from "./machine/step.ts";
export { Vault } from "./vault/vault.ts";
