import { bytesToHex, concatBytes, utf8ToBytes } from "../bytes.ts";
import type { Vault } from "../vault/vault.ts";

/** Keys of the secrets store. */
export const Keys = {
  account: (id: string) => `account/${id}`,
  accounts: "account/",
  prekey: (id: string) => `prekey/${id}`,
  prekeys: "prekey/",
  conversation: (id: string) => `conv/${id}`,
  conversations: "conv/",
  /** Who steals the file must not be able to match it with a link, or with the set-up's traffic. */
  acceptedLink: (vault: Vault, account: string, linkHash: Uint8Array) =>
    `link/${bytesToHex(vault.tag(concatBytes(utf8ToBytes(account), linkHash)))}`,
  outgoing: (conversation: string, sequence: number) => `out/${conversation}/${ordered(sequence, 10)}`,
  outgoingOf: (conversation: string) => `out/${conversation}/`,
  /** Conversations with messages that are not acknowledged. */
  outstanding: (conversation: string) => `outstanding/${conversation}`,
  outstandings: "outstanding/",
  held: (conversation: string, sequence: number) => `held/${conversation}/${ordered(sequence, 10)}`,
  heldOf: (conversation: string) => `held/${conversation}/`,
  /** The parts of one frame, by the sequence of the first and the frame's hash. */
  segmentsOfFrame: (conversation: string, first: number, hash: string) =>
    `segment/${conversation}/${ordered(first, 10)}-${hash}/`,
  segment: (frame: string, index: number) => `${frame}${ordered(index, 3)}`,
  /** Of all frames that begin in the same hundred of sequences. */
  segmentsOfHundred: (conversation: string, hundred: number) => `segment/${conversation}/${ordered(hundred, 8)}`,
  segmentsOf: (conversation: string) => `segment/${conversation}/`,
  timer: (dueMs: number, name: string) => `timer/${ordered(dueMs, 16)}/${name}`,
  timers: "timer/",
  event: (number: bigint) => `event/${ordered(number, 20)}`,
  events: "event/",
  state: "state",
  /** Of each length of epochs ever set: back at one, its slots are still used. */
  rate: (epochSeconds: number) => `rate/${ordered(epochSeconds, 5)}`,
  rates: "rate/",
  membership: "membership",
  generation: "generation",
} as const;

/** Decimal with leading zeros: keys sort as their numbers do. */
function ordered(value: number | bigint, width: number): string {
  return String(value).padStart(width, "0");
}

export function lastPart(key: string): string {
  return key.slice(key.lastIndexOf("/") + 1);
}
