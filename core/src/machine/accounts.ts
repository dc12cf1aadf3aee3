import { create } from "@bufbuild/protobuf";
import { type Account, type AccountList, AccountListSchema, AccountSchema, SessionState } from "@chatsdk/abi/api_pb";
import { ErrorCode } from "@chatsdk/abi/errors_pb";
import { type AccountRecord, AccountRecordSchema, PrekeyRecordSchema } from "@chatsdk/abi/records_pb";
import { bytesToHex, concatBytes, label } from "../bytes.ts";
import { ChatError, quoted } from "../errors.ts";
import { deliveryAddress } from "../invite/delivery-address.ts";
import { Conversation, eachConversation } from "./conversation.ts";
import { forgetEvents } from "./events.ts";
import { forgetFormerPrekeys, forgetPrekey } from "./prekeys.ts";
import { Keys, lastPart } from "./records.ts";
import type { Step, Steps } from "./step.ts";

const ACCOUNT_ID = label("account-id");

function accountOf(step: Step, id: string, record: AccountRecord): Account {
  const identityKey = step.crypto.ed25519PublicKey(record.identitySeed);
  return create(AccountSchema, {
    accountId: id,
    identityKey,
    deliveryAddress: record.deliveryAddress,
    createdMs: record.createdMs,
  });
}

/** F1: an account is a key pair. Nobody grants it, nothing is registered. */
export function* createAccount(step: Step): Steps<Account> {
  const identitySeed = step.entropy.bytes(32);
  const identityKey = step.crypto.ed25519PublicKey(identitySeed);
  const id = bytesToHex(step.crypto.sha256(concatBytes(ACCOUNT_ID, identityKey)).subarray(0, 16));
  const now = BigInt(step.nowMs);
  const address = deliveryAddress(step.crypto, step.settings, identityKey);
  const record = create(AccountRecordSchema, {
    identitySeed,
    deliveryAddress: address,
    createdMs: now,
    historyUntilMs: now,
  });
  step.put(AccountRecordSchema, Keys.account(id), record);
  yield* subscribeAll(step);
  return accountOf(step, id, record);
}

export function* listAccounts(step: Step): Steps<AccountList> {
  const found = yield* step.scan(AccountRecordSchema, Keys.accounts);
  const accounts = found.map(({ key, record }) => accountOf(step, lastPart(key), record));
  return create(AccountListSchema, { accounts: accounts.sort((a, b) => Number(a.createdMs - b.createdMs)) });
}

export function* loadAccount(step: Step, id: string): Steps<AccountRecord> {
  const record = yield* step.get(AccountRecordSchema, Keys.account(id));
  if (!record)
    throw new ChatError(ErrorCode.ACCOUNT_NOT_FOUND, `account_id: no account ${quoted(id)}; list the accounts`);
  return record;
}

export function* deleteAccount(step: Step, id: string): Steps<void> {
  yield* loadAccount(step, id);
  yield* eachConversation(step, function* (conversationId, record) {
    if (record.accountId === id) yield* dropConversation(step, Conversation.fromRecord(conversationId, record));
  });
  for (const { key, record } of yield* step.scan(PrekeyRecordSchema, Keys.prekeys)) {
    if (record.accountId === id) yield* forgetPrekey(step, key);
  }
  yield* forgetEvents(step, (event) => event.accountId === id);
  step.delete(Keys.account(id));
  yield* subscribeAll(step);
}

/** Deletes keys and messages. What the peer sends from now on is not found by any hint. */
export function* deleteConversation(step: Step, conversation: Conversation): Steps<void> {
  const { id, record } = conversation;
  yield* dropConversation(step, conversation);
  if ((record.sessionState as SessionState) === SessionState.REPAIR_SENT) yield* forgetFormerPrekeys(step, id, "");
  yield* forgetEvents(step, (event) => event.conversationId === id);
}

/** All but what takes a look at every prekey and event. */
function* dropConversation(step: Step, { id, record, stream }: Conversation): Steps<void> {
  if (record.recoveryPrekeyId !== "") yield* forgetPrekey(step, Keys.prekey(record.recoveryPrekeyId));
  if (stream.waiting) step.allowance.dequeue();
  if (record.timerMs !== 0n) step.delete(Keys.timer(Number(record.timerMs), id));
  for (const prefix of [Keys.outgoingOf(id), Keys.heldOf(id), Keys.segmentsOf(id)]) step.deletePrefix(prefix);
  step.delete(Keys.conversation(id));
  step.delete(Keys.outstanding(id));
  if (record.linkHash.length > 0) step.delete(Keys.acceptedLink(step.vault, record.accountId, record.linkHash));
  step.row({ case: "deleteConversation", value: id });
}

/** One subscription for all accounts: each topic once. */
export function* subscribeAll(step: Step): Steps<void> {
  const accounts = yield* step.scan(AccountRecordSchema, Keys.accounts);
  const topics = [...new Set(accounts.map(({ record }) => record.deliveryAddress))].sort();
  step.effect({ case: "subscribe", value: { topics } });
}
