import { create } from "@bufbuild/protobuf";
import type { Config } from "@chatsdk/abi/host_pb";
import { type MembershipRecord, MembershipRecordSchema } from "@chatsdk/abi/records_pb";
import { EMPTY, equalBytes } from "../bytes.ts";
import { Keys } from "./records.ts";
import type { Step, Steps } from "./step.ts";

/** The configured membership, whose blanks are filled in from the one kept before; `undefined`: there is no rate limit. */
export function* loadMembership(step: Step, { rateLimit }: Config): Steps<MembershipRecord | undefined> {
  const limit = step.settings.rateLimit;
  if (!rateLimit || !limit) return undefined;
  const given = create(MembershipRecordSchema, {
    credentials: rateLimit.credentials,
    messagesPerEpoch: limit.messages,
  });
  const kept = yield* step.get(MembershipRecordSchema, Keys.membership);
  const others = rateLimit.credentials.length > 0 && !equalBytes(kept?.credentials ?? EMPTY, rateLimit.credentials);
  if (!kept || others) return given;
  return { ...kept, messagesPerEpoch: rateLimit.messagesPerEpoch || kept.messagesPerEpoch };
}

/** In the first step, if credentials were given: they are durable before anything is published under them. */
export function* keepMembership(
  step: Step,
  { rateLimit }: Config,
  membership: MembershipRecord | undefined,
): Steps<void> {
  if (!membership || !rateLimit || rateLimit.credentials.length === 0) return;
  const kept = yield* step.get(MembershipRecordSchema, Keys.membership);
  const same = kept && equalBytes(kept.credentials, membership.credentials);
  if (same && kept.messagesPerEpoch === membership.messagesPerEpoch) return;
  step.put(MembershipRecordSchema, Keys.membership, membership);
}
