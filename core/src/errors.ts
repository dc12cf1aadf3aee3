import { ErrorCode } from "@chatsdk/abi/errors_pb";

/**
 * A failure the caller can act on. `code` says what to do (see docs/errors.md), `message` names the field and the remedy,
 * `retryable` says whether the same call may succeed later. Never holds a secret or a plaintext.
 */
export class ChatError extends Error {
  override readonly name = "ChatError";
  readonly code: ErrorCode;
  readonly retryable: boolean;

  constructor(code: ErrorCode, message: string, options: { retryable?: boolean; cause?: unknown } = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.code = code;
    this.retryable = options.retryable ?? false;
  }

  /** The code's name, such as "WRONG_KEY". */
  get codeName(): string {
    return ErrorCode[this.code] ?? "UNKNOWN";
  }
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
