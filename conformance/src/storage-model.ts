import { DeliveryStatus, FailureReason, type Message } from "@chatsdk/abi/api_pb";
import type { Change } from "@chatsdk/abi/host_pb";

type Row = Message & { readByUs: boolean };

/** What the property test of the storage suite asks about. */
export interface Observed {
  keys: string[];
  prefixes: string[];
  tags: Uint8Array[];
  conversations: string[];
  messages: string[];
  words: string[];
}

/** Every step forward there is (`Change.set_status`), as a list. */
const FORWARD = new Set([
  "QUEUED SENT",
  "QUEUED DELIVERED",
  "QUEUED READ",
  "QUEUED FAILED",
  "SENT DELIVERED",
  "SENT READ",
  "SENT FAILED",
  "DELIVERED READ",
  "FAILED DELIVERED",
  "FAILED READ",
]);

/** The plainest storage: lists, searched from the start. It shares no code with those it is compared with. */
export class StorageModel {
  #records: { key: string; value: Uint8Array }[] = [];
  #tags: { tag: string; key: string }[] = [];
  #conversations: { conversationId: string; lastActivityMs: bigint }[] = [];
  #rows: Row[] = [];

  apply({ change }: Change): void {
    switch (change.case) {
      case "put": {
        const { key, value } = change.value;
        this.#records = [...this.#records.filter((record) => record.key !== key), { key, value }];
        break;
      }
      case "delete":
        this.#removeRecords((key) => key === change.value);
        break;
      case "deletePrefix":
        this.#removeRecords((key) => key.startsWith(change.value));
        break;
      case "addTags":
        for (const tag of split(change.value.tags))
          this.#tags = [...this.#tags.filter((entry) => entry.tag !== tag), { tag, key: change.value.key }];
        break;
      case "removeTags":
        for (const tag of split(change.value)) this.#tags = this.#tags.filter((entry) => entry.tag !== tag);
        break;
      case "putMessage": {
        const old = this.#row(change.value.conversationId, change.value.messageId);
        this.#rows = [
          ...this.#rows.filter((row) => row !== old),
          { ...change.value, readByUs: old?.readByUs ?? change.value.outgoing },
        ];
        break;
      }
      case "setStatus": {
        const { conversationId, messageId, status, failureReason } = change.value;
        const row = this.#row(conversationId, messageId);
        if (!row?.outgoing) break;
        // Replacing an incoming message by one of ours leaves it without a status, before all others.
        if (
          row.status !== DeliveryStatus.DELIVERY_STATUS_UNSPECIFIED &&
          !FORWARD.has(`${DeliveryStatus[row.status]} ${DeliveryStatus[status]}`)
        )
          break;
        row.status = status;
        row.failureReason = status === DeliveryStatus.FAILED ? failureReason : FailureReason.FAILURE_REASON_UNSPECIFIED;
        break;
      }
      case "peerRead": {
        const newest = this.#row(change.value.conversationId, change.value.messageId);
        if (!newest?.outgoing) break;
        for (const row of this.#rows) {
          if (
            row.conversationId === newest.conversationId &&
            row.outgoing &&
            row.status === DeliveryStatus.DELIVERED &&
            row.lamport <= newest.lamport
          )
            row.status = DeliveryStatus.READ;
        }
        break;
      }
      case "ownRead": {
        const newest = this.#row(change.value.conversationId, change.value.messageId);
        if (newest?.outgoing !== false) break;
        for (const row of this.#rows) {
          if (row.conversationId === newest.conversationId && !row.outgoing && row.lamport <= newest.lamport)
            row.readByUs = true;
        }
        break;
      }
      case "putConversation": {
        const { conversationId, lastActivityMs } = change.value;
        this.#conversations = [
          ...this.#conversations.filter((other) => other.conversationId !== conversationId),
          { conversationId, lastActivityMs },
        ];
        break;
      }
      case "deleteConversation":
        this.#conversations = this.#conversations.filter(
          (conversation) => conversation.conversationId !== change.value,
        );
        this.#rows = this.#rows.filter((row) => row.conversationId !== change.value);
        break;
      case undefined:
        throw new Error("the model applies good changes only");
    }
  }

  observe(observed: Observed): unknown {
    const records = this.#records.toSorted((a, b) => Buffer.compare(Buffer.from(a.key), Buffer.from(b.key)));
    return {
      records: observed.keys.map((key) => this.#records.find((record) => record.key === key)?.value),
      scans: observed.prefixes.map((prefix) => records.filter(({ key }) => key.startsWith(prefix))),
      tags: observed.tags.map((tag) => {
        const key = this.#tags.find((entry) => entry.tag === String([...tag]))?.key;
        return this.#records.find((record) => record.key === key)?.key;
      }),
      conversations: this.#conversations
        .toSorted(
          (a, b) => Number(b.lastActivityMs - a.lastActivityMs) || (a.conversationId < b.conversationId ? -1 : 1),
        )
        .map(({ conversationId }) => conversationId),
      pages: observed.conversations.map((id) =>
        this.#rows
          .filter((row) => row.conversationId === id)
          .toSorted((a, b) => Number(b.lamport - a.lamport) || (a.messageId > b.messageId ? -1 : 1))
          .map((row) => ({ ...row })),
      ),
      unread: observed.conversations.map(
        (id) =>
          this.#rows.filter(
            (row) =>
              row.conversationId === id &&
              !row.outgoing &&
              !row.readByUs &&
              (row.domain !== 0 || [1, 2, 5].includes(row.tag)),
          ).length,
      ),
      found: observed.words.map((query) =>
        this.#rows
          .filter((row) => matches(row.text ?? "", query))
          .map((row) => `${row.conversationId}/${row.messageId}`)
          .sort(),
      ),
    };
  }

  #removeRecords(goes: (key: string) => boolean): void {
    const gone = this.#records.map(({ key }) => key).filter(goes);
    this.#records = this.#records.filter(({ key }) => !gone.includes(key));
    this.#tags = this.#tags.filter(({ key }) => !gone.includes(key));
  }

  #row(conversationId: string, messageId: string): Row | undefined {
    return this.#rows.find((row) => row.conversationId === conversationId && row.messageId === messageId);
  }
}

function split(tags: Uint8Array): string[] {
  return Array.from({ length: tags.length / 8 }, (_, index) => String([...tags.subarray(8 * index, 8 * index + 8)]));
}

/** Enough for the words the property test uses. */
function matches(text: string, query: string): boolean {
  const present = text.split(" ");
  const wanted = query.split(" ");
  const last = wanted.pop() ?? "";
  return wanted.every((word) => present.includes(word)) && present.some((word) => word.startsWith(last));
}
