/**
 * Private 1:1 chat over Waku: accounts nobody has to grant, invite links, end-to-end encryption with forward secrecy and
 * post-compromise security, delivery confirmation, detection of missed messages.
 *
 * `openChat` is the way in; `ChatClient` has the calls and the events.
 */
export { ErrorCode } from "@chatsdk/abi/errors_pb";
export { ChatError, type Crypto, nobleCrypto } from "@chatsdk/core";
export {
  ChatClient,
  type CallOptions,
  type ClientParts,
  type PageOptions,
  type ProtocolSettings,
} from "./client/chat-client.ts";
export { type Clock, systemClock } from "./client/clock.ts";
export {
  AttachmentReference,
  type ContentBytes,
  type ContentCodec,
  ContentType,
  type ContentTypeId,
  Reaction,
  ReadReceipt,
  Reply,
  type Sendable,
  Text,
} from "./client/content.ts";
export { type Logger, silentLogger } from "./client/logger.ts";
export type {
  Account,
  ChatEvent,
  ChatMessage,
  Conversation,
  DeliveryStatusName,
  FailureReasonName,
  Invite,
  InviteDetails,
  Quota,
  SessionStateName,
} from "./client/model.ts";
export { type ChatOptions, openChat } from "./client/open-chat.ts";
export { nodeCrypto } from "./crypto/node-crypto.ts";
export type { StorageKey } from "./keys/storage-key.ts";
export { parseRlnCredentials, parseRlnGroup, type RlnCredentials, type RlnGroup, type RlnMember } from "./rln/group.ts";
export { type MembershipRateLimit, RlnMembership, type RlnMembershipOptions } from "./rln/membership.ts";
export { type RlnCircuit, RlnProver, type RlnProverOptions } from "./rln/prover.ts";
export { MemoryStorage } from "./storage/memory-storage.ts";
export { FileRollbackAnchor, type FileRollbackAnchorOptions, type RollbackAnchor } from "./storage/rollback-anchor.ts";
export { type MessageSink, SplitStorage, type SplitStorageOptions } from "./storage/split-storage.ts";
export { SqliteStorage, type SqliteStorageOptions } from "./storage/sqlite-storage.ts";
export type {
  MessageRow,
  MessageStore,
  PageRequest,
  Position,
  SearchOptions,
  SecretStore,
  Storage,
} from "./storage/storage.ts";
export type {
  HistoryRequest,
  PublishOptions,
  RateSlot,
  ReceivedMessage,
  Transport,
  TransportListener,
} from "./transport/transport.ts";
export {
  type ProofRequest,
  type RateLimitProver,
  WakuTransport,
  type WakuTransportOptions,
} from "./transport/waku-transport.ts";
