import { seededRandom } from "@chatsdk/conformance/random";
import { MESSAGES_PER_MINUTE } from "./waku-message.ts";

/** Length of what users write, in bytes. */
export const TEXT_LENGTH = 100;
/** Everybody starts within the first part of the warm-up, meets the first peer in the second, and writes from then on. */
export const STARTING_MS = 30_000;
export const MEETING_MS = 15_000;
/** Before anything is measured: first set-ups, and chats and absences on their way. */
export const WARM_UP_MS = 120_000;

/** Keeps a user's writing apart from the other random numbers of the same user. */
const WRITING = 0x5bd1e995;

/** A random time until an act that is as likely at any moment. */
export function exponential(random: () => number, meanMs: number): number {
  return -Math.log(1 - random()) * meanMs;
}

/** Times between the messages of a user, in milliseconds: the same for a seed and a user, whether he is simulated or real. */
export function writingOf(seed: number, user: number, perMinute = MESSAGES_PER_MINUTE): () => number {
  const random = seededRandom((seed * 1_000_003 + user) ^ WRITING);
  return () => exponential(random, 60_000 / perMinute);
}
