import type { CallMethod, CallService } from "../ir.ts";
import { pascal } from "../text.ts";
import { methodDocs, typeDocs } from "./docs.ts";
import type { GoScope } from "./scope.ts";

/** A client of calls that travel in one input message. */
export function calls(service: CallService, scope: GoScope): string {
  const { name, docs, input, reply, methods } = service;
  const context = scope.from("context");
  return `// ${name}Caller carries the calls of [${name}].
type ${name}Caller interface {
	// Call feeds an input in and returns the reply to it; a failure may be either. The caller fills in what else the input needs.
	Call(ctx ${context}.Context, input *${scope.type(input.message)}) (*${scope.type(reply.message)}, error)
}

${typeDocs(name, scope.linked(docs))}
type ${name} struct {
	caller ${name}Caller
}

// New${name} makes a client over a caller. It is safe for concurrent use if the caller is.
func New${name}(caller ${name}Caller) *${name} {
	return &${name}{caller: caller}
}

${methods.map((method) => callMethod(service, method, scope)).join("\n\n")}`;
}

function callMethod({ name, input, reply, failure }: CallService, method: CallMethod, scope: GoScope): string {
  const context = scope.from("context");
  const fmt = scope.from("fmt");
  const [inputType, replyType] = [scope.type(input.message), scope.type(reply.message)];
  const inputCase = pascal(method.input);
  const replyCase = pascal(method.reply);
  const docs = methodDocs(method.name, scope.linked(method.docs));
  return `${docs}
func (c *${name}) ${method.name}(ctx ${context}.Context, request *${scope.type(method.request)}) (*${scope.type(method.response)}, error) {
	reply, err := c.caller.Call(ctx, &${inputType}{${pascal(input.oneof)}: &${inputType}_${inputCase}{${inputCase}: request}})
	if err != nil {
		return nil, err
	}
	switch result := reply.Get${pascal(reply.oneof)}().(type) {
	case *${replyType}_${replyCase}:
		return result.${replyCase}, nil
	case *${replyType}_${pascal(failure)}:
		return nil, ${scope.contract("ErrorOf")}(result.${pascal(failure)})
	default:
		return nil, ${scope.contract("NewError")}(${scope.contract("ErrorCode_INTERNAL")}, ${fmt}.Sprintf("${method.name} was answered with %T; report this", result), nil)
	}
}`;
}
