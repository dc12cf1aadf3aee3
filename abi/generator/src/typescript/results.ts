import type { TypeScriptScope } from "./scope.ts";

/** The status byte and the messages that cross the boundary of the core module: the same for every service. */
export function results(scope: TypeScriptScope): string {
  for (const name of ["create", "fromBinary", "toBinary"]) scope.from("@bufbuild/protobuf", name);
  for (const name of ["DescMessage", "MessageInitShape", "MessageShape"]) scope.typeFrom("@bufbuild/protobuf", name);
  for (const name of ["ChatError", "errorOf", "failureOf"]) scope.contract("errors", name);
  scope.contract("errors_pb", "ErrorCode");
  scope.contract("api_pb", "FailureSchema");
  scope.contract("contract", "MAXIMUM_LENGTH");
  return `const RESPONSE = 0;
const FAILURE = 1;

/** The cause of the error for bytes of the other side that are no result: a module instance is of no use any more. */
export class MalformedResult extends Error {
  override readonly name = "MalformedResult";
}

/** Carries calls over the boundary of the core module. */
export interface ModuleCaller {
  /** Carries a method's number and encoded request, and brings back the encoded response. Throws what \`decodeResult\` throws. */
  callModule(method: number, request: Uint8Array): Uint8Array;
}

/** The encoded response in a result. Throws its failure. */
export function decodeResult(result: Uint8Array): Uint8Array {
  const [status] = result;
  if (status === RESPONSE) return result.subarray(1);
  if (status === FAILURE) throw errorOf(decode(FailureSchema, result.subarray(1), "a failure"));
  throw malformed(status === undefined ? "a result is empty" : \`a result has the status \${status}\`);
}

/** Makes one call; generated clients use it. */
export function callMethod<Request extends DescMessage, Response extends DescMessage>(
  caller: ModuleCaller,
  method: number,
  [requestSchema, responseSchema]: [Request, Response],
  request: MessageInitShape<Request>,
): MessageShape<Response> {
  const encoded = toBinary(requestSchema, create(requestSchema, request));
  try {
    checkLength("request", encoded.length);
    return decode(responseSchema, caller.callModule(method, encoded), "a response");
  } finally {
    // It may hold keys.
    encoded.fill(0);
  }
}

/** Serves one call; generated dispatchers use it. */
export function serveMethod<Request extends DescMessage, Response extends DescMessage>(
  [requestSchema, responseSchema]: [Request, Response],
  encoded: Uint8Array,
  serve: (request: MessageShape<Request>) => MessageInitShape<Response>,
): Uint8Array {
  try {
    checkLength("request", encoded.length);
    const response = create(responseSchema, serve(decodeRequest(requestSchema, encoded)));
    const result = withStatus(RESPONSE, toBinary(responseSchema, response));
    checkLength("result", result.length);
    return result;
  } catch (error) {
    return failed(error);
  }
}

/** The result of a call whose number no method has; generated dispatchers use it. */
export function noSuchMethod(service: string, method: number): Uint8Array {
  return failed(new ChatError(ErrorCode.INVALID_ARGUMENT, \`method: \${service} has no method \${method}\`));
}

function failed(error: unknown): Uint8Array {
  return withStatus(FAILURE, toBinary(FailureSchema, failureOf(error)));
}

function withStatus(status: number, message: Uint8Array): Uint8Array {
  const result = new Uint8Array(1 + message.length);
  result[0] = status;
  result.set(message, 1);
  return result;
}

function decodeRequest<Schema extends DescMessage>(schema: Schema, encoded: Uint8Array): MessageShape<Schema> {
  try {
    return fromBinary(schema, encoded);
  } catch (cause) {
    throw new ChatError(ErrorCode.INVALID_ARGUMENT, "request: it does not decode", { cause });
  }
}

function decode<Schema extends DescMessage>(schema: Schema, encoded: Uint8Array, what: string): MessageShape<Schema> {
  try {
    return fromBinary(schema, encoded);
  } catch (cause) {
    throw malformed(\`\${what} does not decode\`, cause);
  }
}

function malformed(message: string, cause?: unknown): ChatError {
  return new ChatError(ErrorCode.INTERNAL, \`\${message}; report this\`, {
    cause: new MalformedResult("malformed result", { cause }),
  });
}

function checkLength(what: string, length: number): void {
  if (length > MAXIMUM_LENGTH)
    throw new ChatError(
      ErrorCode.INVALID_ARGUMENT,
      \`\${what}: \${length} bytes are too many; at most \${MAXIMUM_LENGTH}\`,
    );
}`;
}
