export { ChatError } from "@chatsdk/abi/errors";

const LONGEST_QUOTE = 80;

/** An argument as an error message shows it. */
export function quoted(argument: string): string {
  return JSON.stringify(argument.length > LONGEST_QUOTE ? `${argument.slice(0, LONGEST_QUOTE)}…` : argument);
}

/**
 * Input from the network that is not what it should be. Caught at the core's door: the envelope is dropped and nothing has
 * changed. `reason` is fit for a log: it never holds bytes of the input.
 */
export class Rejected extends Error {
  override readonly name = "Rejected";
  constructor(readonly reason: string) {
    super(reason);
  }
}
