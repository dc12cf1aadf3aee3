import { create } from "@bufbuild/protobuf";
import { DoneSchema, SafetyNumberSchema, SentMessageSchema } from "@chatsdk/abi/api_pb";
import { ErrorCode } from "@chatsdk/abi/errors_pb";
import {
  type Config,
  type Input,
  type Outcome,
  OutcomeSchema,
  type PublishResult,
  type Reply,
  ReplySchema,
} from "@chatsdk/abi/host_pb";
import { ConversationRecordSchema, GenerationRecordSchema, type MembershipRecord } from "@chatsdk/abi/records_pb";
import { ReadReceiptSchema } from "@chatsdk/abi/content_pb";
import { EMPTY } from "../bytes.ts";
import { encode } from "../codec.ts";
import { BASIC_DOMAIN, BASIC_VERSION, BasicTag } from "../content/basic-types.ts";
import type { Crypto } from "../crypto/crypto.ts";
import { Entropy } from "../entropy.ts";
import { ChatError } from "../errors.ts";
import { safetyNumber } from "../invite/safety-number.ts";
import { settingsOf } from "../settings.ts";
import type { Vault } from "../vault/vault.ts";
import {
  createAccount,
  deleteAccount,
  deleteConversation,
  listAccounts,
  subscribeAll,
  loadAccount,
} from "./accounts.ts";
import { Conversation, eachConversation } from "./conversation.ts";
import { EventWindow } from "./events.ts";
import { lastCommit } from "./generation.ts";
import { History } from "./history.ts";
import { createInvite, inspectInvite, listInvites, revokeInvite } from "./invites.ts";
import { cancelMessage, hasRoom, notePublished, publishAllUnsent, quota, sendContent } from "./outgoing.ts";
import { keepMembership, loadMembership } from "./membership.ts";
import { takeEnvelope } from "./receiving.ts";
import { retirePrekeys } from "./prekeys.ts";
import { closeAllowances, loadAllowance, settleAllowance } from "./rate-limit.ts";
import { Keys } from "./records.ts";
import { acceptRepair, markLost, noteRepairPublished, requestRepair } from "./repair.ts";
import { acceptInvite } from "./setting-up.ts";
import { Step, type Steps, type Surroundings, type UnderWay } from "./step.ts";
import { noteSyncRefused } from "./synchronizing.ts";
import { askHistorySoon, recallTimers, rescheduleMaintenance, wake } from "./waking.ts";

/** A clock put back by less has put off nothing for long. */
const CLOCK_PUT_BACK_MS = 60 * 1000;

/** What a core finds in its database. */
export interface Opened {
  /** Number of the last commit, for the rollback anchor. */
  generation: bigint;
  /** For the prover of rate limit proofs; empty: there are none. */
  rateLimitCredentials: Uint8Array;
}

/**
 * The door of the protocol core: a state machine without I/O, clock or randomness. A host runs one step at a time:
 *
 * 1. `step(input)` yields reads; the host answers each with the records found.
 * 2. It returns the outcome. The host commits all changes in one durable transaction.
 * 3. Only then does the host release effects, events and the reply. If the commit fails it releases nothing and calls `commitFailed`.
 *
 * Same records, same inputs so far, same input, time and entropy: same outcome, to the byte.
 */
export class Core {
  readonly #surroundings: Surroundings;
  readonly #history = new History();
  readonly #events = new EventWindow();
  readonly #publishing = new Map<string, UnderWay>();
  /** What the last outcome added to `#publishing`, and what its input took out of it. */
  #justReleased: string[] = [];
  #justEnded: [string, UnderWay] | undefined;
  readonly #config: Config;
  #clockMs = 0;
  #formerClockMs = 0;
  #generation: bigint | undefined;
  /** Why the start failed: nothing is served then, an old copy least of all. */
  #refusal: ChatError | undefined;
  /** Before the last step. */
  #previousGeneration: bigint | undefined;
  #membership: MembershipRecord | undefined;

  /** Throws INVALID_ARGUMENT naming the field of the config. */
  constructor(crypto: Crypto, config: Config, vault: Vault) {
    this.#config = config;
    this.#surroundings = { crypto, settings: settingsOf(config), vault, publishing: this.#publishing };
  }

  /** Reads what the host has to know before the first step. */
  *open(): Steps<Opened> {
    const { crypto, settings } = this.#surroundings;
    const probe = new Step(this.#surroundings, 0, new Entropy(crypto, new Uint8Array(32)));
    const generation = (yield* probe.get(GenerationRecordSchema, Keys.generation))?.generation ?? 0n;
    this.#membership = yield* loadMembership(probe, this.#config);
    if (settings.rateLimit && this.#membership) settings.rateLimit.messages = this.#membership.messagesPerEpoch;
    // Last: a read that failed is to be made again before the first step.
    this.#generation = generation;
    return { generation, rateLimitCredentials: this.#membership?.credentials ?? EMPTY };
  }

  /** As of the last outcome. */
  get generation(): bigint {
    return this.#generation ?? 0n;
  }

  *step(input: Input): Steps<Outcome> {
    if (this.#generation === undefined) yield* this.open();
    if (this.#refusal && input.input.case !== "start") return create(OutcomeSchema, { reply: failure(this.#refusal) });
    const { crypto } = this.#surroundings;
    this.#previousGeneration = this.#generation;
    this.#justReleased = [];
    this.#justEnded = undefined;
    this.#events.begin();
    const published = this.#published(input);
    const newStep = (): Step => new Step(this.#surroundings, Number(input.nowMs), new Entropy(crypto, input.entropy));
    const step = newStep();
    try {
      this.#refusal = undefined;
      const last = input.input.case === "start" ? lastCommit(this.generation, input.input.value) : this.generation;
      yield* loadAllowance(step);
      if (step.nowMs < this.#clockMs - CLOCK_PUT_BACK_MS) yield* adjustToClock(step, this.#history);
      const reply = yield* this.#serve(step, input, published);
      yield* this.#history.askForPassed(step);
      yield* this.#history.release(step);
      yield* settleAllowance(step);
      yield* this.#events.release(step);
      yield* step.nextWake();
      this.#formerClockMs = this.#clockMs;
      this.#clockMs = step.nowMs;
      return this.#release(step.outcome(reply, () => this.#raise(last)));
    } catch (error) {
      this.#events.undo();
      if (!(error instanceof ChatError)) {
        this.#restoreEnded();
        throw error;
      }
      if (input.input.case === "start") this.#refusal = error;
      return this.#release(newStep().outcome(failure(error), () => this.#raise(this.generation)));
    }
  }

  /** The publication is not under way any more. Returns what was known of it. */
  #published({ input }: Input): UnderWay | undefined {
    if (input.case !== "publishResult") return undefined;
    const { publishId } = input.value;
    const publication = this.#publishing.get(publishId);
    this.#publishing.delete(publishId);
    if (publication) this.#justEnded = [publishId, publication];
    return publication;
  }

  #release(outcome: Outcome): Outcome {
    for (const { effect } of outcome.effects) {
      if (effect.case !== "publish") continue;
      const { publishId, payload, slot } = effect.value;
      if (this.#publishing.has(publishId)) continue;
      const envelope = publishId.startsWith("s/") ? payload : EMPTY;
      this.#publishing.set(publishId, { envelope, epoch: slot?.epoch });
      this.#justReleased.push(publishId);
    }
    return outcome;
  }

  #raise(last: bigint): bigint {
    this.#generation = last + 1n;
    return this.#generation;
  }

  /** The outcome of the last step could not be committed: its effects never happened. */
  commitFailed(): void {
    this.#generation = this.#previousGeneration;
    this.#history.forget();
    this.#events.undo();
    this.#clockMs = this.#formerClockMs;
    for (const publishId of this.#justReleased.splice(0)) this.#publishing.delete(publishId);
    this.#restoreEnded();
  }

  /** The host will tell the result again. */
  #restoreEnded(): void {
    if (this.#justEnded) this.#publishing.set(...this.#justEnded);
    this.#justEnded = undefined;
  }

  *#serve(step: Step, { input }: Input, published: UnderWay | undefined): Steps<Reply | undefined> {
    const history = this.#history;
    switch (input.case) {
      case "start":
        yield* keepMembership(step, this.#config, this.#membership);
        yield* start(step, history, input.value.rolledBack);
        return undefined;
      case "envelopeReceived":
        yield* takeEnvelope(step, input.value.payload, history, true);
        return undefined;
      case "historyPage":
        for (const { payload } of input.value.envelopes) yield* takeEnvelope(step, payload, history, false);
        if (!input.value.more || input.value.failed)
          yield* history.ended(step, input.value.queryId, input.value.failed);
        if (input.value.failed) yield* askHistorySoon(step);
        return undefined;
      case "publishResult":
        yield* publishResult(step, input.value, published);
        return undefined;
      case "wake":
        yield* wake(step, history);
        return undefined;
      case "connectionChanged":
        if (input.value.online) yield* online(step, history);
        return undefined;
      case undefined:
        throw new ChatError(ErrorCode.INVALID_ARGUMENT, "input: none is set");
      default:
        return yield* call(step, input, history, this.#events);
    }
  }
}

function failure({ code, message, retryable }: ChatError): Reply {
  return create(ReplySchema, { reply: { case: "failure", value: { code, message, retryable } } });
}

/** It was put back: frees what it had put off, and turns in epochs that are far ahead. */
function* adjustToClock(step: Step, history: History): Steps<void> {
  yield* recallTimers(step, history);
  yield* rescheduleMaintenance(step, step.settings.historyIntervalMs);
  yield* publishAllUnsent(step, false);
}

function* start(step: Step, history: History, rolledBack: boolean): Steps<void> {
  // The application may have left some.
  step.eventsChanged = true;
  if (rolledBack) {
    yield* eachConversation(step, (id, record) => markLost(step, Conversation.fromRecord(id, record)));
    yield* retirePrekeys(step);
    yield* closeAllowances(step);
  }
  step.allowance.emptyQueue();
  yield* online(step, history, true);
  yield* recallTimers(step, history);
  yield* rescheduleMaintenance(step, step.settings.historyIntervalMs);
}

/** Also after every start: the transport takes subscriptions and messages before it is connected. */
function* online(step: Step, history: History, starting = false): Steps<void> {
  yield* subscribeAll(step);
  yield* history.askForAccounts(step, starting);
  yield* publishAllUnsent(step, starting);
}

/** Publish ids: m/<conversation>/<sequence>/<session>, s/<conversation>/<session> for sync messages, r/<conversation> for repairs. */
function* publishResult(
  step: Step,
  { publishId, ok }: PublishResult,
  published: UnderWay = { envelope: EMPTY },
): Steps<void> {
  const [kind, id, ...rest] = publishId.split("/");
  const record = yield* step.get(ConversationRecordSchema, Keys.conversation(id ?? ""));
  if (!record || id === undefined) return;
  const conversation = Conversation.fromRecord(id, record);
  if (kind === "r") return noteRepairPublished(step, conversation, ok);
  if (rest.at(-1) !== conversation.sessionName) return;
  if (kind === "m") yield* notePublished(step, conversation, Number(rest[0]), ok, step.isOutdated(published));
  else if (!ok) {
    noteSyncRefused(step, conversation, published.envelope);
    conversation.save(step);
  }
}

type Call = Exclude<
  Input["input"],
  { case: undefined | "start" | "envelopeReceived" | "historyPage" | "publishResult" | "wake" | "connectionChanged" }
>;

function* call(
  step: Step,
  { case: method, value: request }: Call,
  history: History,
  events: EventWindow,
): Steps<Reply> {
  const answer = (reply: NonNullable<Parameters<typeof create<typeof ReplySchema>>[1]>["reply"]): Reply =>
    create(ReplySchema, { reply: reply! });
  const done = answer({ case: "done", value: create(DoneSchema) });
  switch (method) {
    case "createAccount":
      yield* askHistorySoon(step);
      return answer({ case: "account", value: yield* createAccount(step) });
    case "listAccounts":
      return answer({ case: "accounts", value: yield* listAccounts(step) });
    case "deleteAccount":
      yield* deleteAccount(step, request.accountId);
      return done;
    case "createInvite":
      return answer({ case: "invite", value: yield* createInvite(step, request) });
    case "listInvites":
      return answer({ case: "invites", value: yield* listInvites(step, request.accountId) });
    case "revokeInvite":
      yield* revokeInvite(step, request.inviteId);
      return done;
    case "inspectInvite":
      return answer({ case: "inviteDetails", value: inspectInvite(step, request.link) });
    case "acceptInvite":
      return answer({ case: "sentMessage", value: yield* acceptInvite(step, request) });
    case "sendMessage": {
      const conversation = yield* sendable(step, request.conversationId);
      const message = sendContent(step, conversation, request.content);
      conversation.save(step);
      step.row({ case: "putMessage", value: message });
      return answer({
        case: "sentMessage",
        value: create(SentMessageSchema, { conversation: conversation.row, message }),
      });
    }
    case "cancelMessage": {
      const conversation = yield* Conversation.load(step, request.conversationId);
      yield* cancelMessage(step, conversation, request.messageId);
      conversation.save(step);
      return done;
    }
    case "markRead":
      yield* markRead(step, request.conversationId, request.messageId, request.sendReceipt);
      return done;
    case "deleteConversation":
      yield* deleteConversation(step, yield* Conversation.load(step, request.conversationId));
      return done;
    case "getSafetyNumber": {
      const { record } = yield* Conversation.load(step, request.conversationId);
      const account = yield* loadAccount(step, record.accountId);
      const digits = safetyNumber(
        step.crypto,
        step.crypto.ed25519PublicKey(account.identitySeed),
        record.peerIdentityKey,
      );
      return answer({ case: "safetyNumber", value: create(SafetyNumberSchema, { digits }) });
    }
    case "setVerified": {
      const conversation = yield* Conversation.load(step, request.conversationId);
      conversation.record.verified = request.verified;
      conversation.touchRow();
      conversation.save(step);
      return done;
    }
    case "repairConversation":
      yield* requestRepair(step, yield* Conversation.load(step, request.conversationId));
      return done;
    case "acceptRepair":
      yield* acceptRepair(step, yield* Conversation.load(step, request.conversationId), history);
      return done;
    case "acknowledgeEvents":
      yield* events.acknowledge(step, request.eventNumber);
      return done;
    case "getQuota":
      return answer({ case: "quota", value: yield* quota(step) });
  }
}

/** A conversation whose session may be used for sending. */
function* sendable(step: Step, id: string): Steps<Conversation> {
  const conversation = yield* Conversation.load(step, id);
  if (!conversation.canSend) {
    throw new ChatError(
      ErrorCode.SESSION_LOST,
      "conversation_id: its keys were lost; repair the conversation and wait for the peer's consent",
    );
  }
  return conversation;
}

function* markRead(step: Step, conversationId: string, messageId: string, sendReceipt: boolean): Steps<void> {
  const conversation = yield* Conversation.load(step, conversationId);
  step.row({ case: "ownRead", value: { $typeName: "chatsdk.v1.ReadChange", conversationId, messageId } });
  // A later receipt says as much.
  if (!sendReceipt || !conversation.canSend || !hasRoom(conversation)) return;
  const payload = encode(ReadReceiptSchema, create(ReadReceiptSchema, { messageId }));
  sendContent(step, conversation, {
    $typeName: "chatsdk.v1.Content",
    domain: BASIC_DOMAIN,
    tag: BasicTag.readReceipt,
    version: BASIC_VERSION,
    payload,
  });
  conversation.save(step);
}
