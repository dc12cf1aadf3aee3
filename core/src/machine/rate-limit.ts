import { create } from "@bufbuild/protobuf";
import { type RateRecord, RateRecordSchema, StateRecordSchema } from "@chatsdk/abi/records_pb";
import type { RateLimit } from "../settings.ts";
import { Allowance } from "./allowance.ts";
import { Keys } from "./records.ts";
import type { Step, Steps } from "./step.ts";

/** Before a step's first part: what the rate limit leaves. */
export function* loadAllowance(step: Step): Steps<void> {
  const { rateLimit } = step.settings;
  if (!rateLimit) return;
  const key = Keys.rate(rateLimit.epochMs / 1000);
  const record = (yield* step.get(RateRecordSchema, key)) ?? (yield* newRecord(step, rateLimit));
  step.allowance = new Allowance(rateLimit, record, step.nowMs);
}

function* newRecord(step: Step, { epochMs }: RateLimit): Steps<RateRecord> {
  const { slotsClosedMs } = yield* step.state();
  return create(RateRecordSchema, { epochSeconds: epochMs / 1000, closedEpoch: slotsClosedMs / BigInt(epochMs) });
}

/** The database is an old copy: closes the present epoch of every length, also of those that this copy has never counted. */
export function* closeAllowances(step: Step): Steps<void> {
  step.allowance.close();
  for (const { key, record } of yield* step.scan(RateRecordSchema, Keys.rates)) {
    if (record.epochSeconds * 1000 === step.settings.rateLimit?.epochMs) continue;
    const allowance = new Allowance({ epochMs: record.epochSeconds * 1000, messages: 0 }, record, step.nowMs);
    allowance.close();
    step.put(RateRecordSchema, key, record);
  }
  const state = yield* step.state();
  const now = BigInt(step.nowMs);
  if (now > state.slotsClosedMs) state.slotsClosedMs = now;
  step.put(StateRecordSchema, Keys.state, state);
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
