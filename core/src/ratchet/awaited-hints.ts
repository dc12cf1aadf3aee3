import type { Session } from "@chatsdk/abi/records_pb";
import { bytesToHex, equalBytes } from "../bytes.ts";
import type { Crypto } from "../crypto/crypto.ts";
import { awaitedNumbers, HintSource } from "./hints.ts";

/** Where an awaited message stands. */
export type Position =
  | { kind: "current"; messageNumber: number }
  | { kind: "next"; messageNumber: number }
  | { kind: "skipped"; chain: number; index: number; messageNumber: number };

interface AwaitedChain {
  headerKey: Uint8Array;
  numbers: number[];
  position(index: number): Position;
}

function awaitedChains(session: Session, wide: boolean): AwaitedChain[] {
  const chains: AwaitedChain[] = [];
  if (session.receiving) {
    const numbers = awaitedNumbers(session.receiving.next, wide);
    chains.push({
      headerKey: session.receiving.headerKey,
      numbers,
      position: (index) => ({ kind: "current", messageNumber: numbers[index]! }),
    });
  }
  if (session.nextReceivingHeaderKey.length > 0) {
    const numbers = awaitedNumbers(0, wide);
    chains.push({
      headerKey: session.nextReceivingHeaderKey,
      numbers,
      position: (index) => ({ kind: "next", messageNumber: numbers[index]! }),
    });
  }
  session.skipped.forEach((skipped, chain) => {
    chains.push({
      headerKey: skipped.headerKey,
      numbers: skipped.numbers,
      position: (index) => ({ kind: "skipped", chain, index, messageNumber: skipped.numbers[index]! }),
    });
  });
  return chains;
}

/** The message that carries this hint, if the session awaits one. */
export function findPosition(crypto: Crypto, session: Session, hint: Uint8Array, wide = false): Position | undefined {
  for (const chain of awaitedChains(session, wide)) {
    const source = new HintSource(crypto, chain.headerKey);
    const index = chain.numbers.findIndex((number) => equalBytes(source.hint(number), hint));
    if (index >= 0) return chain.position(index);
  }
  return undefined;
}

/** Every awaited message, named so that two states of a session can be compared without calculating any hint. */
function awaited(session: Session, wide: boolean): Map<string, { headerKey: Uint8Array; number: number }> {
  const all = new Map<string, { headerKey: Uint8Array; number: number }>();
  for (const { headerKey, numbers } of awaitedChains(session, wide)) {
    const chain = bytesToHex(headerKey.subarray(32, 48));
    for (const number of numbers) all.set(`${chain}/${number}`, { headerKey, number });
  }
  return all;
}

/** A session before a step, to find out which hints the step made awaited or not. */
export type AwaitedBefore = ReadonlyMap<string, { headerKey: Uint8Array; number: number }>;

export function awaitedBefore(session: Session | undefined, wide: boolean): AwaitedBefore {
  return session ? awaited(session, wide) : new Map();
}

/** Hints (8 bytes each) that became awaited and that are awaited no more. */
export function hintChanges(
  crypto: Crypto,
  before: AwaitedBefore,
  session: Session,
  wide: boolean,
): { added: Uint8Array[]; removed: Uint8Array[] } {
  const after = awaitedBefore(session, wide);
  const sources = new Map<string, HintSource>();
  const hints = (wanted: AwaitedBefore, other: AwaitedBefore): Uint8Array[] => {
    const result: Uint8Array[] = [];
    for (const [name, { headerKey, number }] of wanted) {
      if (other.has(name)) continue;
      const chain = name.slice(0, name.indexOf("/"));
      let source = sources.get(chain);
      if (!source) {
        source = new HintSource(crypto, headerKey);
        sources.set(chain, source);
      }
      result.push(source.hint(number));
    }
    return result;
  };
  return { added: hints(after, before), removed: hints(before, after) };
}
