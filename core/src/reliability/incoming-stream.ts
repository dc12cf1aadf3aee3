import type { Reliability } from "@chatsdk/abi/records_pb";
import { Rejected } from "../errors.ts";
import { insertSorted, removeFrom } from "./sequence-set.ts";

/** A peer may run ahead of its oldest unacknowledged message by so much; an honest one's outbox is full before. */
export const MAX_AHEAD = 1024;
/** How many lost sequences are remembered, so that a late message is still shown and nothing is reported twice. */
const MAX_LOST = MAX_AHEAD;

export type Arrival = "new" | "recovered" | "duplicate";

/** Notes that a message of the peer has arrived. Sequences between are known to exist from now on. */
export function noteArrival(stream: Reliability, sequence: number): Arrival {
  if (sequence > stream.acknowledged + MAX_AHEAD) throw new Rejected(`sequence: ${sequence} is too far ahead`);
  noteExistence(stream, sequence);
  const late = removeFrom(stream.missing, sequence) || removeFrom(stream.lost, sequence);
  const known = sequence <= stream.acknowledged || stream.received.includes(sequence);
  if (known && !late) return "duplicate";
  if (!known) {
    insertSorted(stream.received, sequence);
    advance(stream);
  }
  return late ? "recovered" : "new";
}

/** Notes that the peer has made messages up to `sequence`. */
export function noteExistence(stream: Reliability, sequence: number): void {
  if (sequence > stream.acknowledged + MAX_AHEAD) throw new Rejected(`sequence: ${sequence} is too far ahead`);
  stream.highestKnown = Math.max(stream.highestKnown, sequence);
}

/** Notes that the peer gave messages up. Returns those that had not arrived and were not known to be lost. */
export function noteAbandoned(stream: Reliability, sequences: readonly number[]): number[] {
  const lost: number[] = [];
  for (const sequence of sequences) {
    if (sequence <= stream.acknowledged || stream.received.includes(sequence)) continue;
    noteExistence(stream, sequence);
    insertSorted(stream.received, sequence);
    removeFrom(stream.missing, sequence);
    if (!stream.lost.includes(sequence)) lost.push(sequence);
  }
  rememberLost(stream, lost);
  advance(stream);
  return lost;
}

/** Gives up waiting for what is missing. The peer may still supply it. */
export function giveUpMissing(stream: Reliability): number[] {
  const lost = stream.missing;
  stream.missing = [];
  rememberLost(stream, lost);
  return lost;
}

function rememberLost(stream: Reliability, lost: readonly number[]): void {
  for (const sequence of lost) insertSorted(stream.lost, sequence);
  if (stream.lost.length > MAX_LOST) stream.lost.splice(0, stream.lost.length - MAX_LOST);
}

function advance(stream: Reliability): void {
  while (stream.received[0] === stream.acknowledged + 1) {
    stream.received.shift();
    stream.acknowledged++;
  }
}

/** True if the message has arrived or was abandoned. */
export function isSettled(stream: Reliability, sequence: number): boolean {
  return sequence <= stream.acknowledged || stream.received.includes(sequence);
}

/** Sequences known to exist that have not arrived, the oldest first. */
export function absent(stream: Reliability): number[] {
  const received = new Set(stream.received);
  const list: number[] = [];
  for (let sequence = stream.acknowledged + 1; sequence <= stream.highestKnown; sequence++) {
    if (!received.has(sequence)) list.push(sequence);
  }
  return list;
}
