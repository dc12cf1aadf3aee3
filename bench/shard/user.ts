import { DeliveryStatus, type Event } from "@chatsdk/abi/api_pb";
import type { Change } from "@chatsdk/abi/host_pb";
import type { Crypto } from "@chatsdk/core";
import { Disk } from "@chatsdk/conformance/disk";
import { type ConfigValue, Machine } from "@chatsdk/conformance/machine";
import { seededRandom } from "@chatsdk/conformance/random";
import type { Collector } from "./measurements.ts";

/** A disk that keeps no rows of messages: no core reads them, and 10,000 users write hundreds of thousands. */
class RecordsDisk extends Disk {
  override apply(change: Change): void {
    if (change.change.case !== "putMessage" && change.change.case !== "setStatus") super.apply(change);
  }
}

/** What the store keeps for a user's bucket and the user can read. */
export interface Stored {
  atMs: number;
  payload: Uint8Array;
  /** The process that the subscription gave it to. */
  pushedToRun?: number;
}

/** One user of the shard: a real core, an application that writes and deals with events, and what the store has for it. */
export class User {
  readonly machine: Machine;
  readonly random: () => number;
  readonly stored: Stored[] = [];
  accountId = "";
  /** The delivery address: the content topic of the user's bucket. */
  topic = "";
  online = false;
  /** Counts starts of the process: what an earlier one asked for is answered to nobody. */
  runs = 0;
  wakeMs = 0;
  /** Conversations this user knows of. */
  readonly conversations = new Set<string>();
  /** Where the user writes now. */
  conversationId: string | undefined;
  peer: User | undefined;
  /** When the messages were written that are not confirmed, by id. */
  readonly written = new Map<string, number>();
  #lastEvent = 0n;

  constructor(
    readonly number: number,
    seed: number,
    crypto: Crypto,
    config: ConfigValue,
  ) {
    const name = `${seed}/${number}`;
    this.machine = new Machine(name, crypto, config, new RecordsDisk());
    this.random = seededRandom(seed * 1_000_003 + number);
  }

  /** Each event counts once: a restart shows again what the application had not dealt with. */
  see({ eventNumber, event }: Event, nowMs: number, collector: Collector): void {
    if (eventNumber <= this.#lastEvent) return;
    this.#lastEvent = eventNumber;
    if (event.case === "conversationStarted") {
      const { conversation, inviteId } = event.value;
      this.conversations.add(conversation!.conversationId);
      // Somebody has accepted a link of this user, who answers there.
      if (inviteId !== "") this.conversationId = conversation!.conversationId;
    } else if (event.case === "messageReceived") collector.count("shown", 1, nowMs);
    else if (event.case === "messagesLost") collector.count("lost", event.value.messageIds.length, nowMs);
    else if (event.case === "messageStatusChanged") {
      const { messageId, status } = event.value;
      if ((status as DeliveryStatus) === DeliveryStatus.FAILED) collector.count("failed", 1, nowMs);
      if ((status as DeliveryStatus) !== DeliveryStatus.DELIVERED) return;
      collector.confirmed(this.written.get(messageId)!, nowMs);
      this.written.delete(messageId);
    }
  }
}
