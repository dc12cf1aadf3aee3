import { ChatError } from "@chatsdk/core";
import { Rejected } from "../../core/src/errors.ts";

/** A decoder under test. */
export interface Target {
  name: string;
  /** Inputs that decode. */
  samples: readonly Uint8Array[];
  /** Others worth damaging, which do not decode. */
  spoiled?: readonly Uint8Array[];
  /** Returns, or throws Rejected or ChatError. */
  run(bytes: Uint8Array): void;
}

/** How an input ended. Any error that is not one of ours goes on. */
export function outcomeOf(target: Target, bytes: Uint8Array): "decoded" | "refused" {
  try {
    target.run(bytes);
    return "decoded";
  } catch (error) {
    if (error instanceof Rejected || error instanceof ChatError) return "refused";
    throw error;
  }
}
