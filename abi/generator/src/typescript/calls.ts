import type { CallMethod, CallService } from "../ir.ts";
import { camel } from "../text.ts";
import type { TypeScriptScope } from "./scope.ts";

/** A client of calls that travel in one input message. */
export function calls(service: CallService, scope: TypeScriptScope): string {
  const { name, docs, input, reply, failure, methods } = service;
  const [inputName, replyName] = [`${name}Input`, `${name}Reply`];
  const chatError = scope.contract("errors", "ChatError");
  const internal = `${scope.contract("errors_pb", "ErrorCode")}.INTERNAL`;
  return `/** Any input that is a case of its message. */
export type ${inputName} = Exclude<NonNullable<${scope.init(input.message)}["${camel(input.oneof)}"]>, { case: undefined }>;

/** Any reply that is a case of its message. */
export type ${replyName} = ${scope.shape(reply.message)}["${camel(reply.oneof)}"];

/** Carries the calls of \`${name}Calls\`. \`Options\` pass through, such as an AbortSignal. */
export interface ${name}Caller<Options> {
  /** Feeds an input in and resolves with the reply to it, or rejects; the reply may be a failure as well. */
  call(input: ${inputName}, options?: Options): Promise<${replyName}>;
}

${scope.docs(docs)}
export class ${name}Calls<Options = undefined> {
  readonly #caller: ${name}Caller<Options>;

  constructor(caller: ${name}Caller<Options>) {
    this.#caller = caller;
  }

${methods.map((method) => callMethod(service, method, scope)).join("\n\n")}
}

function unexpected(method: string, reply: ${replyName}): ${chatError} {
  if (reply.case === "${camel(failure)}") return ${scope.contract("errors", "errorOf")}(reply.value);
  return new ${chatError}(${internal}, \`\${method} was answered with \${reply.case}; report this\`);
}`;
}

function callMethod({ methods }: CallService, method: CallMethod, scope: TypeScriptScope): string {
  const { name, docs, request, response } = method;
  return `${scope.docs(docs, "  ", methods)}
  async ${camel(name)}(request: ${scope.init(request)}, options?: Options): Promise<${scope.shape(response)}> {
    const reply = await this.#caller.call({ case: "${camel(method.input)}", value: request }, options);
    if (reply.case !== "${camel(method.reply)}") throw unexpected("${camel(name)}", reply);
    return reply.value;
  }`;
}
