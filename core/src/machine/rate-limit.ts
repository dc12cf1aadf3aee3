import { create } from "@bufbuild/protobuf";
import { RateRecordSchema } from "@chatsdk/abi/records_pb";
import { Allowance } from "./allowance.ts";
import { Keys } from "./records.ts";
import type { Step, Steps } from "./step.ts";

/** Before a step's first part: what the rate limit leaves. */
export function* loadAllowance(step: Step): Steps<void> {
  const { rateLimit } = step.settings;
  if (!rateLimit) return;
  const epochSeconds = rateLimit.epochMs / 1000;
  const record =
    (yield* step.get(RateRecordSchema, Keys.rate(epochSeconds))) ?? create(RateRecordSchema, { epochSeconds });
  step.allowance = new Allowance(rateLimit, record, step.nowMs);
}

/** The database is an old copy: closes the present epoch of every length that was ever counted, also while there is no limit. */
export function* closeAllowances(step: Step): Steps<void> {
  step.allowance.close();
  for (const { key, record } of yield* step.scan(RateRecordSchema, Keys.rates)) {
    if (record.epochSeconds * 1000 === step.settings.rateLimit?.epochMs) continue;
    const allowance = new Allowance({ epochMs: record.epochSeconds * 1000, messages: 0 }, record, step.nowMs);
    allowance.close();
    step.put(RateRecordSchema, key, record);
  }
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
  step.put(RateRecordSchema, Keys.rate(record.epochSeconds), record);
}
