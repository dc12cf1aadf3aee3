import type { ErrorCase } from "../ir.ts";
import { upperFirst } from "../text.ts";
import type { TypeScriptScope } from "./scope.ts";

export function errors(cases: readonly ErrorCase[], scope: TypeScriptScope): string {
  const create = scope.from("@bufbuild/protobuf", "create");
  const code = scope.contract("errors_pb", "ErrorCode");
  const failure = scope.contractType("api_pb", "Failure");
  const failureSchema = scope.contract("api_pb", "FailureSchema");
  return `/**
 * A failure the caller can act on. \`code\` says what to do (see docs/errors.md), \`message\` names the field and the remedy,
 * \`retryable\` says whether the same call may succeed later. Never holds a secret or a plaintext.
 */
export class ChatError extends Error {
  override readonly name = "ChatError";
  readonly code: ${code};
  readonly retryable: boolean;

  constructor(code: ${code}, message: string, options: { retryable?: boolean; cause?: unknown } = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.code = code;
    this.retryable = options.retryable ?? false;
  }

  /** The code's name, such as "WRONG_KEY". */
  get codeName(): string {
    return ${code}[this.code] ?? "UNKNOWN";
  }
}

/** The error that a failure tells of. */
export function errorOf({ code, message, retryable }: ${failure}): ChatError {
  return new ChatError(code, message, { retryable });
}

/** Tells of an error. What is no \`ChatError\` becomes INTERNAL, and its text stays here: it might hold a secret. */
export function failureOf(error: unknown): ${failure} {
  if (!(error instanceof ChatError))
    return ${create}(${failureSchema}, { code: ${code}.INTERNAL, message: "a defect of the SDK or of the host; report this" });
  const { code, message, retryable } = error;
  return ${create}(${failureSchema}, { code, message, retryable });
}

/** What the caller of a failed call should do. */
export function remedyOf(code: ${code}): string {
  const name = ${code}[code] as keyof typeof REMEDIES;
  return REMEDIES[name] ?? "";
}

const REMEDIES = {
${cases.map(({ name, remedy }) => `  ${name}: ${JSON.stringify(upperFirst(remedy))},`).join("\n")}
};`;
}
