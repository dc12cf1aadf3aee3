export { ChatError } from "@chatsdk/abi/errors";

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
