import { mkdirSync } from "node:fs";
import { join } from "node:path";
import {
  type ChatClient,
  ChatError,
  ErrorCode,
  type Logger,
  openChat,
  SqliteStorage,
  type StorageKey,
} from "@chatsdk/client";
import { localAddress } from "../../local-node/service-node.ts";
import type { Settings } from "./arguments.ts";
import { askPassphrase, choosePassphrase, readPassphraseFile } from "./passphrase.ts";

const ATTEMPTS = 3;

/** A profile's folder holds all that belongs to it. */
export function profileFolder({ dataFolder, name }: Settings): string {
  const folder = join(dataFolder, name);
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  return folder;
}

/** Opens the profile's database, asking for the passphrase if it needs one, and connects. */
export async function openProfile(settings: Settings, logger: Logger): Promise<ChatClient> {
  const path = join(profileFolder(settings), "chat.db");
  const { cluster: clusterId, shards: shardCount, acceptRollback } = settings;
  for (let attempt = 1; ; attempt++) {
    const storage = await SqliteStorage.open(path, { create: true });
    try {
      const header = await storage.header();
      const storageKey = await keyFor(settings, header?.derivation?.derivation.case);
      return await openChat({
        path,
        storage,
        storageKey,
        clusterId,
        shardCount,
        acceptRollback,
        logger,
        ...network(settings),
      });
    } catch (error) {
      await storage.close();
      const asked = !settings.passphraseFile && process.stdin.isTTY;
      const wrong = error instanceof ChatError && error.code === ErrorCode.WRONG_KEY;
      if (!wrong || !asked || attempt === ATTEMPTS) throw error;
      console.log("That is not the passphrase of this profile.");
    }
  }
}

function network({ node, discover, localPort }: Settings): Pick<Parameters<typeof openChat>[0], "peers" | "waku"> {
  if (discover) return { peers: node, waku: { discovery: { dns: true, peerExchange: true } } };
  if (node.length > 0) return { peers: node };
  // The local node comes back soon after whoever runs it has left: no need for long pauses.
  return { peers: [localAddress(localPort)], waku: { reconnectMaxMs: 2_000 } };
}

async function keyFor(settings: Settings, needed: string | undefined): Promise<StorageKey> {
  const isNew = needed === undefined;
  if (needed === "unprotected" || (isNew && settings.unprotected)) return { unprotected: true };
  if (settings.passphraseFile) return { passphrase: readPassphraseFile(settings.passphraseFile) };
  if (!process.stdin.isTTY) {
    const orNone = isNew ? ", or --unprotected" : "";
    throw new Error(`the profile ${settings.name} needs a passphrase: give --passphrase-file${orNone}`);
  }
  return { passphrase: await (isNew ? choosePassphrase() : askPassphrase("Passphrase")) };
}
