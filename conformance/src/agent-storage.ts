import { create, fromBinary, type MessageInitShape, type MessageShape, toBinary } from "@bufbuild/protobuf";
import type { Conversation } from "@chatsdk/abi/api_pb";
import { ErrorCode } from "@chatsdk/abi/errors_pb";
import type { Change, VaultHeader } from "@chatsdk/abi/host_pb";
import { type MessageRowsSchema, Storage as StorageService } from "@chatsdk/abi/services_pb";
import type { MessageRow, PageRequest, SearchOptions, Storage } from "@chatsdk/client";
import { ChatError } from "@chatsdk/core";
import { AgentError, type AgentProcess } from "../agent/agent-process.ts";
import { fromHex, toHex } from "./trace.ts";

type Methods = typeof StorageService.method;

/** The SQLite storage of an agent's language. */
export class AgentStorage implements Storage {
  readonly #agent: AgentProcess;

  private constructor(agent: AgentProcess) {
    this.#agent = agent;
  }

  static async open(agent: AgentProcess, path: string): Promise<AgentStorage> {
    await answered(agent.call("storeOpen", { path }));
    return new AgentStorage(agent);
  }

  readonly secrets: Storage["secrets"] = {
    get: async (key) => (await this.#call("read", { read: { case: "get", value: key } })).records[0]?.value,
    findTag: async (tag) => recordOf((await this.#call("read", { read: { case: "findTag", value: tag } })).records[0]),
    scan: async (prefix, limit) => {
      const { records } = await this.#call("read", { read: { case: "scan", value: { prefix, limit } } });
      return records.map((record) => recordOf(record)!);
    },
  };

  readonly messages: Storage["messages"] = {
    conversations: async (accountId = ""): Promise<Conversation[]> =>
      (await this.#call("listConversations", { accountId })).conversations,
    conversation: async (conversationId) => (await this.#call("getConversation", { conversationId })).conversations[0],
    message: async (conversationId, messageId) =>
      rowsOf(await this.#call("getMessage", { conversationId, messageId }))[0],
    page: async ({ limit, ...request }: PageRequest) =>
      rowsOf(await this.#call("listMessages", { ...request, limit: expressible(limit) })),
    unreadCount: async (conversationId) => Number((await this.#call("countUnread", { conversationId })).unread),
    search: async (query, { limit, ...options }: SearchOptions) =>
      rowsOf(await this.#call("searchMessages", { query, ...options, limit: expressible(limit) })),
  };

  async header(): Promise<VaultHeader | undefined> {
    return (await this.#call("getHeader", {})).header;
  }

  async setHeader(header: VaultHeader): Promise<void> {
    await this.#call("putHeader", header);
  }

  async commit(changes: readonly Change[]): Promise<void> {
    await this.#call("commit", { changes: [...changes] });
  }

  async close(): Promise<void> {
    await this.#call("close", {});
  }

  async #call<Name extends keyof Methods>(
    name: Name,
    request: MessageInitShape<Methods[Name]["input"]>,
  ): Promise<MessageShape<Methods[Name]["output"]>> {
    const { name: method, input, output } = StorageService.method[name];
    const encoded = toHex(toBinary(input, create(input, request)));
    const response = await answered(this.#agent.call("store", { method, request: encoded }));
    return fromBinary(output, fromHex(response as string)) as MessageShape<Methods[Name]["output"]>;
  }
}

/** Failures as the storages of this process have them. */
async function answered<Result>(call: Promise<Result>): Promise<Result> {
  try {
    return await call;
  } catch (error) {
    if (!(error instanceof AgentError) || !(error.code in ErrorCode)) throw error;
    const code = ErrorCode[error.code as keyof typeof ErrorCode];
    throw new ChatError(code, error.message, { retryable: error.retryable });
  }
}

/** The contract has no negative limits and no fractions: they travel as 0, which is out of range as well. */
function expressible(limit: number): number {
  return Number.isInteger(limit) && limit >= 0 && limit < 2 ** 32 ? limit : 0;
}

function recordOf(record: { key: string; value: Uint8Array } | undefined) {
  return record && { key: record.key, value: record.value };
}

function rowsOf({ rows }: MessageShape<typeof MessageRowsSchema>): MessageRow[] {
  return rows.map(({ message, readByUs }) => ({ ...message!, readByUs }));
}
