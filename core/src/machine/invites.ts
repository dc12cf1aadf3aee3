import { create } from "@bufbuild/protobuf";
import {
  type CreateInviteRequest,
  type Invite,
  type InviteDetails,
  InviteDetailsSchema,
  type InviteList,
  InviteListSchema,
  InviteSchema,
} from "@chatsdk/abi/api_pb";
import { ErrorCode } from "@chatsdk/abi/errors_pb";
import {
  OpenInviteSchema,
  type PrekeyRecord,
  PrekeyRecordSchema,
  type StateRecord,
  StateRecordSchema,
} from "@chatsdk/abi/records_pb";
import { IntroductionBundleSchema } from "@chatsdk/abi/wire_pb";
import { bytesToHex } from "../bytes.ts";
import { ChatError, quoted } from "../errors.ts";
import { inboxHintKey } from "../handshake/key-agreement.ts";
import { chooseSuite, suiteBits } from "../handshake/suite.ts";
import { sameApplication } from "../invite/delivery-address.ts";
import { type DecodedInvite, decodeInvite, encodeInvite } from "../invite/invite-link.ts";
import { DEFAULT_INVITE_VALIDITY_MS, MAX_INVITE_VALIDITY_MS } from "../settings.ts";
import { loadAccount } from "./accounts.ts";
import { forgetPrekey } from "./prekeys.ts";
import { Keys, lastPart } from "./records.ts";
import type { Step, Steps } from "./step.ts";

/** Every unknown envelope is tried against each: bounds what a busy topic costs. */
const MAX_INVITES = 256;

/** U2: a link to share out of band. */
export function* createInvite(step: Step, request: CreateInviteRequest): Steps<Invite> {
  const account = yield* loadAccount(step, request.accountId);
  const validForMs = Number(request.validForMs) || DEFAULT_INVITE_VALIDITY_MS;
  if (validForMs > MAX_INVITE_VALIDITY_MS)
    throw new ChatError(ErrorCode.INVALID_ARGUMENT, "valid_for_ms: more than a year; give less");
  const state = yield* step.state();
  if (state.invites.length >= MAX_INVITES) yield* forgetUsed(step, state);
  if (state.invites.length >= MAX_INVITES) {
    throw new ChatError(ErrorCode.INVALID_ARGUMENT, `account_id: ${MAX_INVITES} invites are open; revoke some`);
  }
  const { crypto, settings } = step;
  const secret = step.entropy.bytes(32);
  const publicKey = crypto.x25519PublicKey(secret);
  const expiresAt = Math.ceil((step.nowMs + validForMs) / 1000);
  const suites = suiteBits(settings.minimumSuite, settings.maximumSuite);
  const bundle = create(IntroductionBundleSchema, {
    identityKey: crypto.ed25519PublicKey(account.identitySeed),
    signedPrekey: publicKey,
    deliveryAddress: account.deliveryAddress,
    clusterId: settings.clusterId,
    shardCount: settings.shardCount,
    expiresAt,
    reusable: request.reusable,
    suites,
  });
  const { link, hash } = encodeInvite(crypto, account.identitySeed, bundle);
  const id = bytesToHex(step.entropy.bytes(8));
  const record = create(PrekeyRecordSchema, {
    accountId: request.accountId,
    secret,
    publicKey,
    link,
    binding: hash,
    expiresMs: BigInt(expiresAt * 1000),
    reusable: request.reusable,
    suites,
    createdMs: BigInt(step.nowMs),
  });
  step.put(PrekeyRecordSchema, Keys.prekey(id), record);
  state.invites.push(create(OpenInviteSchema, { prekeyId: Keys.prekey(id), hintKey: inboxHintKey(crypto, hash) }));
  step.put(StateRecordSchema, Keys.state, state);
  return inviteOf(id, record);
}

/** Single-use links that were used are kept to report a second use, but not at the cost of new ones. */
function* forgetUsed(step: Step, state: StateRecord): Steps<void> {
  for (const { prekeyId } of [...state.invites]) {
    const record = yield* step.get(PrekeyRecordSchema, prekeyId);
    if (record && record.secret.length > 0 && Number(record.expiresMs) > step.nowMs) continue;
    step.delete(prekeyId);
    state.invites = state.invites.filter((invite) => invite.prekeyId !== prekeyId);
  }
}

function inviteOf(inviteId: string, record: PrekeyRecord): Invite {
  const { accountId, link, expiresMs, reusable, acceptedCount } = record;
  return create(InviteSchema, { inviteId, accountId, link, expiresMs, reusable, acceptedCount });
}

export function* listInvites(step: Step, accountId: string): Steps<InviteList> {
  yield* loadAccount(step, accountId);
  const open = (yield* step.scan(PrekeyRecordSchema, Keys.prekeys)).filter(
    ({ record }) =>
      record.accountId === accountId &&
      record.link !== "" &&
      record.secret.length > 0 &&
      Number(record.expiresMs) > step.nowMs,
  );
  open.sort((a, b) => Number(a.record.createdMs - b.record.createdMs));
  return create(InviteListSchema, { invites: open.map(({ key, record }) => inviteOf(lastPart(key), record)) });
}

export function* revokeInvite(step: Step, inviteId: string): Steps<void> {
  const record = yield* step.get(PrekeyRecordSchema, Keys.prekey(inviteId));
  if (!record || record.repairs !== "")
    throw new ChatError(ErrorCode.INVITE_NOT_FOUND, `invite_id: no invite ${quoted(inviteId)}; list the invites`);
  yield* forgetPrekey(step, Keys.prekey(inviteId));
}

export interface UsableInvite extends DecodedInvite {
  suite: number;
}

/** Reads a link and checks that this client can use it now. */
export function usableInvite(step: Step, link: string): UsableInvite {
  const { crypto, settings, nowMs } = step;
  const decoded = decodeInvite(crypto, link);
  const { bundle } = decoded;
  if (bundle.expiresAt * 1000 <= nowMs)
    throw new ChatError(ErrorCode.INVITE_EXPIRED, "link: its time is over; ask for a new one");
  const ours = `/${settings.appName}/${settings.appVersion}/0/proto`;
  if (
    bundle.clusterId !== settings.clusterId ||
    bundle.shardCount !== settings.shardCount ||
    !sameApplication(bundle.deliveryAddress, ours)
  ) {
    const theirs = `cluster ${bundle.clusterId}, ${bundle.shardCount} shards, topic ${bundle.deliveryAddress}`;
    throw new ChatError(ErrorCode.INVITE_WRONG_NETWORK, `link: made for ${theirs}; open a client for that network`);
  }
  const suite = chooseSuite(suiteBits(settings.minimumSuite, settings.maximumSuite), bundle.suites);
  if (suite === 0)
    throw new ChatError(
      ErrorCode.UNSUPPORTED_SUITE,
      "link: no suite that both sides allow; update the SDK or allow the suite",
    );
  return { ...decoded, suite };
}

export function inspectInvite(step: Step, link: string): InviteDetails {
  const { bundle, suite } = usableInvite(step, link);
  const { identityKey, reusable, deliveryAddress, clusterId, shardCount, expiresAt } = bundle;
  return create(InviteDetailsSchema, {
    identityKey,
    expiresMs: BigInt(expiresAt * 1000),
    reusable,
    deliveryAddress,
    clusterId,
    shardCount,
    suite,
  });
}
