import { create } from "@bufbuild/protobuf";
import { type Change, ChangeSchema } from "@chatsdk/abi/host_pb";
import type { MessageSink } from "../../src/storage/split-storage.ts";
import type { MessageRow, PageRequest, SearchOptions, Storage } from "../../src/storage/storage.ts";

/** A sink as an application would write one: rows and the number of the last batch in one transaction, here of another storage. */
export class StorageSink implements MessageSink {
  readonly #storage: Storage;

  constructor(storage: Storage) {
    this.#storage = storage;
  }

  async lastBatch(): Promise<bigint> {
    const value = await this.#storage.secrets.get("last batch");
    return BigInt(value ? new TextDecoder().decode(value) : 0);
  }

  async apply(batchNumber: bigint, changes: readonly Change[]): Promise<void> {
    const last = await this.lastBatch();
    if (batchNumber <= last) return;
    if (batchNumber !== last + 1n) throw new Error(`batch ${batchNumber} after ${last}`);
    const number = create(ChangeSchema, {
      change: { case: "put", value: { key: "last batch", value: new TextEncoder().encode(String(batchNumber)) } },
    });
    await this.#storage.commit([...changes, number]);
  }

  close = () => this.#storage.close();
  conversations = (accountId?: string) => this.#storage.messages.conversations(accountId);
  conversation = (conversationId: string) => this.#storage.messages.conversation(conversationId);
  message = (conversationId: string, messageId: string) => this.#storage.messages.message(conversationId, messageId);
  page = (request: PageRequest): Promise<MessageRow[]> => this.#storage.messages.page(request);
  unreadCount = (conversationId: string) => this.#storage.messages.unreadCount(conversationId);
  search = (query: string, options: SearchOptions): Promise<MessageRow[]> =>
    this.#storage.messages.search(query, options);
}
