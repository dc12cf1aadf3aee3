import { create, type DescMessage, fromBinary, type MessageShape, toBinary } from "@bufbuild/protobuf";
import { DoneSchema } from "@chatsdk/abi/api_pb";
import { ConversationBatchSchema, ReadAnswerSchema } from "@chatsdk/abi/module_pb";
import {
  Storage as StorageService,
  MessageRowsSchema,
  StoredHeaderSchema,
  UnreadCountSchema,
} from "@chatsdk/abi/services_pb";
import { type MessageRow, type Position, SqliteStorage, type Storage } from "@chatsdk/client";
import { fromHex, toHex } from "./values.ts";

type Request<Name extends keyof typeof StorageService.method> = MessageShape<
  (typeof StorageService.method)[Name]["input"]
>;
type Handlers = {
  [Name in keyof typeof StorageService.method]: (
    storage: Storage,
    request: Request<Name>,
  ) => Promise<MessageShape<(typeof StorageService.method)[Name]["output"]>>;
};

const HANDLERS: Handlers = {
  async getHeader(storage) {
    const header = await storage.header();
    return create(StoredHeaderSchema, header ? { header } : {});
  },
  async putHeader(storage, header) {
    await storage.setHeader(header);
    return create(DoneSchema);
  },
  async read(storage, { read }) {
    const records = async () => {
      switch (read.case) {
        case "get": {
          const value = await storage.secrets.get(read.value);
          return value ? [{ key: read.value, value }] : [];
        }
        case "findTag": {
          const record = await storage.secrets.findTag(read.value);
          return record ? [record] : [];
        }
        case "scan":
          return storage.secrets.scan(read.value.prefix, read.value.limit);
        case undefined:
          throw new Error("read: none is set");
      }
    };
    return create(ReadAnswerSchema, { records: await records() });
  },
  async commit(storage, { changes }) {
    await storage.commit(changes);
    return create(DoneSchema);
  },
  async listConversations(storage, { accountId }) {
    const conversations = await storage.messages.conversations(accountId === "" ? undefined : accountId);
    return create(ConversationBatchSchema, { conversations });
  },
  async getConversation(storage, { conversationId }) {
    const conversation = await storage.messages.conversation(conversationId);
    return create(ConversationBatchSchema, { conversations: conversation ? [conversation] : [] });
  },
  async getMessage(storage, { conversationId, messageId }) {
    const row = await storage.messages.message(conversationId, messageId);
    return rows(row ? [row] : []);
  },
  async listMessages(storage, { conversationId, before, limit }) {
    return rows(await storage.messages.page({ conversationId, limit, ...positioned(before) }));
  },
  async countUnread(storage, { conversationId }) {
    return create(UnreadCountSchema, { unread: BigInt(await storage.messages.unreadCount(conversationId)) });
  },
  async searchMessages(storage, { query, conversationId, before, limit }) {
    const within = conversationId === "" ? {} : { conversationId };
    return rows(await storage.messages.search(query, { limit, ...within, ...positioned(before) }));
  },
  async close(storage) {
    await storage.close();
    return create(DoneSchema);
  },
};

function positioned(before: Position | undefined): { before?: Position } {
  return before ? { before } : {};
}

function rows(found: readonly MessageRow[]): MessageShape<typeof MessageRowsSchema> {
  return create(MessageRowsSchema, {
    rows: found.map(({ readByUs, ...message }) => ({ message, readByUs })),
  });
}

/** The store methods of an agent: one SQLite storage, driven by encoded requests of the service `Storage`. */
export class StoreMethods {
  #storage: SqliteStorage | undefined;
  #open = false;

  async storeOpen({ path }: { path: string }): Promise<null> {
    if (this.#open) throw new Error("storeOpen: a store is open");
    this.#storage = await SqliteStorage.open(path, { create: true });
    this.#open = true;
    return null;
  }

  async store({ method, request }: { method: string; request: string }): Promise<string> {
    const storage = this.#storage;
    if (!storage) throw new Error("store: none was opened");
    const name = method.slice(0, 1).toLowerCase() + method.slice(1);
    if (!isMethod(name)) throw new Error(`store: no method ${method}`);
    const { input, output } = StorageService.method[name];
    const handle = HANDLERS[name] as (storage: Storage, request: unknown) => Promise<unknown>;
    const response = await handle(storage, fromBinary<DescMessage>(input, fromHex(request)));
    if (name === "close") this.#open = false;
    return toHex(toBinary<DescMessage>(output, response as MessageShape<DescMessage>));
  }

  async close(): Promise<void> {
    await this.#storage?.close();
  }
}

function isMethod(name: string): name is keyof typeof StorageService.method {
  return Object.hasOwn(StorageService.method, name);
}
