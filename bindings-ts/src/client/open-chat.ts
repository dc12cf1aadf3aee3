import { randomBytes } from "node:crypto";
import { ErrorCode } from "@chatsdk/abi/errors_pb";
import { ChatError } from "@chatsdk/core";
import { nodeCrypto } from "../crypto/node-crypto.ts";
import { FileRollbackAnchor } from "../storage/rollback-anchor.ts";
import { SqliteStorage } from "../storage/sqlite-storage.ts";
import { WakuTransport, type WakuTransportOptions } from "../transport/waku-transport.ts";
import { ChatClient, type ClientParts, release, takeMembership } from "./chat-client.ts";
import { messageOf } from "./engine.ts";
import { silentLogger } from "./logger.ts";

/** The network whose nodes this SDK's own service node serves by default. */
const DEFAULT_CLUSTER_ID = 42;
const DEFAULT_SHARD_COUNT = 8;

export interface ChatOptions extends Omit<Partial<ClientParts>, "storageKey"> {
  /** The database file; made if there is none. Its folder must exist. Not needed if `storage` is given. */
  path?: string;
  /** What protects the database: `{ passphrase }`, `{ rawKey }`, `{ keyring }` or `{ unprotected: true }`. */
  storageKey: ClientParts["storageKey"];
  /** Websocket multiaddrs of Waku service nodes. Without any, nodes are discovered. */
  peers?: readonly string[];
  /** Further settings of the Waku transport. */
  waku?: Partial<WakuTransportOptions>;
}

/**
 * Opens a chat client with the defaults of Node: SQLite, the Waku network, node:crypto. Any of its parts can be replaced
 * (`storage`, `transport`, `clock`, ...). Errors as `ChatClient.open`, and those of `SqliteStorage.open`. Parts that were given are
 * closed if it fails; a new file that it made stays, empty and bound to no key.
 */
export async function openChat(options: ChatOptions): Promise<ChatClient> {
  // One object from the start: the membership becomes its own.
  const parts: Partial<ClientParts> = { ...options };
  try {
    takeMembership(parts);
    Object.assign(parts, await partsOf(options));
  } catch (error) {
    await release(parts).catch((failure: unknown) => options.logger?.warn(`closing: ${messageOf(failure)}`));
    throw error;
  }
  return ChatClient.open(parts as ClientParts);
}

async function partsOf(options: ChatOptions): Promise<ClientParts> {
  const {
    path,
    peers = [],
    waku,
    clusterId = DEFAULT_CLUSTER_ID,
    shardCount = DEFAULT_SHARD_COUNT,
    logger = silentLogger,
    ...parts
  } = options;
  const { rln } = parts;
  if (rln && waku?.prover)
    throw new ChatError(ErrorCode.INVALID_ARGUMENT, "waku.prover: rln makes the proofs; leave it out");
  const transport =
    parts.transport ?? new WakuTransport({ ...waku, ...(rln && { prover: rln }), clusterId, shardCount, peers });
  const onError = (error: unknown): void => logger.warn(`rollback anchor: ${String(error)}`);
  return {
    crypto: nodeCrypto,
    entropy: () => new Uint8Array(randomBytes(32)),
    anchor: new FileRollbackAnchor({ onError }),
    ...parts,
    logger,
    clusterId,
    shardCount,
    transport,
    storage: parts.storage ?? (await openFile(path)),
  };
}

async function openFile(path: string | undefined): Promise<SqliteStorage> {
  if (!path) throw new ChatError(ErrorCode.INVALID_ARGUMENT, "path: missing; name a database file, or give a storage");
  return SqliteStorage.open(path, { create: true });
}
