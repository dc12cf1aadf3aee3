import { create } from "@bufbuild/protobuf";
import { type Session, type SkippedChain, SkippedChainSchema } from "@chatsdk/abi/records_pb";
import { concatBytes, equalBytes } from "../bytes.ts";
import type { Crypto } from "../crypto/crypto.ts";
import { Rejected } from "../errors.ts";
import { advanceChain } from "./chain-key.ts";

/** Most messages one chain may jump ahead: bounds the work and the memory a peer can cause with one message. No beacon is awaited further ahead. */
export const MAX_SKIP = 1024;
/** Most skipped keys of a session; beyond it the oldest go. */
export const MAX_SKIPPED_KEYS = 2000;
/** Skipped keys older than this go: a key kept is a message not yet forward secret. */
export const SKIPPED_KEY_LIFETIME_MS = 7 * 24 * 3600 * 1000;

/** Moves the receiving chain to `until`, keeping the keys of the messages passed over. */
export function skipTo(crypto: Crypto, session: Session, until: number, nowMs: number): void {
  const chain = session.receiving;
  if (!chain || until <= chain.next) return;
  if (until - chain.next > MAX_SKIP)
    throw new Rejected(`ratchet: ${until - chain.next} messages skipped, ${MAX_SKIP} allowed`);
  const numbers: number[] = [];
  const keys: Uint8Array[] = [];
  while (chain.next < until) {
    const step = advanceChain(crypto, chain.chainKey);
    numbers.push(chain.next++);
    keys.push(step.messageKey);
    chain.chainKey = step.chainKey;
  }
  const known = session.skipped.find((skipped) => equalBytes(skipped.headerKey, chain.headerKey));
  if (known) {
    known.numbers.push(...numbers);
    known.messageKeys = concatBytes(known.messageKeys, ...keys);
  } else {
    session.skipped.push(
      create(SkippedChainSchema, {
        headerKey: chain.headerKey,
        numbers,
        messageKeys: concatBytes(...keys),
        skippedMs: BigInt(nowMs),
      }),
    );
  }
  dropSurplus(session);
}

/**
 * Keeps the keys of what is left of a chain that ended after `length` messages, at most `MAX_SKIP`: whoever missed more than
 * that has lost the rest, but not the conversation.
 */
export function finishChain(crypto: Crypto, session: Session, length: number, nowMs: number): void {
  const next = session.receiving?.next ?? 0;
  skipTo(crypto, session, Math.min(length, next + MAX_SKIP), nowMs);
}

/** Takes the key of a skipped message out. */
export function takeSkipped(session: Session, skipped: SkippedChain, index: number): Uint8Array {
  const key = skipped.messageKeys.slice(index * 32, index * 32 + 32);
  remove(session, skipped, index, 1);
  return key;
}

/** Drops keys past their lifetime. */
export function expireSkipped(session: Session, nowMs: number): void {
  session.skipped = session.skipped.filter((skipped) => Number(skipped.skippedMs) + SKIPPED_KEY_LIFETIME_MS > nowMs);
}

function dropSurplus(session: Session): void {
  let surplus = session.skipped.reduce((sum, skipped) => sum + skipped.numbers.length, 0) - MAX_SKIPPED_KEYS;
  while (surplus > 0) {
    const oldest = session.skipped[0]!;
    const count = Math.min(surplus, oldest.numbers.length);
    remove(session, oldest, 0, count);
    surplus -= count;
  }
}

function remove(session: Session, skipped: SkippedChain, index: number, count: number): void {
  skipped.numbers.splice(index, count);
  skipped.messageKeys = concatBytes(
    skipped.messageKeys.subarray(0, index * 32),
    skipped.messageKeys.subarray((index + count) * 32),
  );
  if (skipped.numbers.length === 0) session.skipped.splice(session.skipped.indexOf(skipped), 1);
}
