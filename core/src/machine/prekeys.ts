import { create } from "@bufbuild/protobuf";
import { type PrekeyRecord, PrekeyRecordSchema, StateRecordSchema } from "@chatsdk/abi/records_pb";
import { bytesToHex } from "../bytes.ts";
import { inboxHintKey, repairBinding, repairHint } from "../handshake/key-agreement.ts";
import { INVITE_GRACE_MS } from "../settings.ts";
import { Keys } from "./records.ts";
import type { Step, Steps } from "./step.ts";

/** Deletes a prekey and what finds it. */
export function* forgetPrekey(step: Step, key: string): Steps<void> {
  const record = yield* step.get(PrekeyRecordSchema, key);
  if (record && record.repairs !== "")
    step.removeHints([repairHint(step.crypto, inboxHintKey(step.crypto, record.binding))]);
  step.delete(key);
  const state = yield* step.state();
  const invites = state.invites.filter((invite) => invite.prekeyId !== key);
  if (invites.length !== state.invites.length) step.put(StateRecordSchema, Keys.state, { ...state, invites });
}

/** Deletes all recovery prekeys of a conversation but one: those of sessions that were replaced. */
export function* forgetFormerPrekeys(step: Step, conversationId: string, currentId: string): Steps<void> {
  for (const { key, record } of yield* step.scan(PrekeyRecordSchema, Keys.prekeys)) {
    if (record.repairs === conversationId && key !== Keys.prekey(currentId)) yield* forgetPrekey(step, key);
  }
}

/** Deletes prekeys whose time is over: what was set up with them is forward secret from then on. */
export function* expirePrekeys(step: Step): Steps<void> {
  for (const { key, record } of yield* step.scan(PrekeyRecordSchema, Keys.prekeys)) {
    if (record.expiresMs !== 0n && Number(record.expiresMs) + INVITE_GRACE_MS <= step.nowMs)
      yield* forgetPrekey(step, key);
  }
}

/**
 * After a rollback: an old prekey may have served since, in a time nobody remembers, and the store still has the set-ups
 * made then. Taken in again they would give the same header keys again. Open invites are closed, and a repair must be asked for anew.
 */
export function* retirePrekeys(step: Step): Steps<void> {
  for (const { key, record } of yield* step.scan(PrekeyRecordSchema, Keys.prekeys)) {
    if (record.repairs === "") yield* forgetPrekey(step, key);
    else step.put(PrekeyRecordSchema, key, { ...record, createdMs: BigInt(step.nowMs) });
  }
}

export interface RecoveryPrekey {
  secret: Uint8Array;
  publicKey: Uint8Array;
}

export function newRecoveryPrekey(step: Step): RecoveryPrekey {
  const secret = step.entropy.bytes(32);
  return { secret, publicKey: step.crypto.x25519PublicKey(secret) };
}

/** Keeps the prekey with which the peer may ask for a repair of this session. Returns its id. */
export function storeRecoveryPrekey(
  step: Step,
  of: { accountId: string; conversationId: string; sessionId: Uint8Array; suites: number },
  prekey: RecoveryPrekey,
): string {
  const id = bytesToHex(step.entropy.bytes(8));
  const binding = repairBinding(step.crypto, of.sessionId, prekey.publicKey);
  const record: PrekeyRecord = create(PrekeyRecordSchema, {
    accountId: of.accountId,
    secret: prekey.secret,
    publicKey: prekey.publicKey,
    binding,
    repairs: of.conversationId,
    suites: of.suites,
    createdMs: BigInt(step.nowMs),
  });
  step.put(PrekeyRecordSchema, Keys.prekey(id), record);
  step.addHints(Keys.prekey(id), [repairHint(step.crypto, inboxHintKey(step.crypto, binding))]);
  return id;
}
