import { create } from "@bufbuild/protobuf";
import { RateRecordSchema } from "@chatsdk/abi/records_pb";
import { Allowance } from "./allowance.ts";
import { Keys } from "./records.ts";
import type { Step, Steps } from "./step.ts";

/** Before a step's first part: what the rate limit leaves. */
export function* loadAllowance(step: Step): Steps<void> {
  const { rateLimit } = step.settings;
  if (!rateLimit) return;
  const record = (yield* step.get(RateRecordSchema, Keys.rate)) ?? create(RateRecordSchema);
  const epochSeconds = rateLimit.epochMs / 1000;
  if (record.epochSeconds !== epochSeconds) Object.assign(record, { epochSeconds, epochs: [], closedEpoch: 0n });
  step.allowance = new Allowance(rateLimit, record, step.nowMs);
}

/** After its last: stores what was used, and tells the application that messages wait, or wait no longer. */
export function* settleAllowance(step: Step): Steps<void> {
  const record = step.allowance.used;
  if (!record) return;
  const exhausted = record.waiting > 0;
  if (exhausted !== record.told) {
    record.told = exhausted;
    const renewsMs = BigInt(step.allowance.renewsMs);
    const value = { $typeName: "chatsdk.v1.QuotaChanged" as const, exhausted, renewsMs };
    yield* step.event("", "", { case: "quotaChanged", value });
  }
  step.put(RateRecordSchema, Keys.rate, record);
}
