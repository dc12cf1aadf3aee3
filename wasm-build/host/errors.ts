/** A failure as it crosses the boundary: an encoded `chatsdk.v1.Failure`, for the caller to decode. */
export class FailureError extends Error {
  override readonly name = "FailureError";

  constructor(readonly failure: Uint8Array) {
    super("the call failed; `failure` says why");
  }
}

/** The instance is of no use any more: make a new one and open the core again over the same storage. */
export class TrapError extends Error {
  override readonly name = "TrapError";
}
