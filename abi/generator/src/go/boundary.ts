import type { BoundaryService } from "../ir.ts";
import { comment, methodDocs, typeDocs } from "./docs.ts";
import type { GoScope } from "./scope.ts";

/** Both sides of a boundary that carries bytes: an interface with its dispatcher, and the client. */
export function boundary({ name, docs, methods }: BoundaryService, scope: GoScope): string {
  const context = scope.from("context");
  const signature = ({ name: method, request, response }: BoundaryService["methods"][number]) =>
    `${method}(ctx ${context}.Context, request *${scope.type(request)}) (*${scope.type(response)}, error)`;
  const described = methods.map((method) => ({ method, docs: methodDocs(method.name, scope.linked(method.docs)) }));
  return `${typeDocs(name, scope.linked(docs))}
type ${name} interface {
${described.map((one) => `${one.docs}\n${signature(one.method)}`).join("\n")}
}

${comment(`Dispatch${name} serves a call that came over the boundary: it decodes the request, calls the method that has the number, and encodes the result. It does not keep the request.`)}
func Dispatch${name}(ctx ${context}.Context, served ${name}, method uint32, request []byte) []byte {
	switch method {
${methods.map((method) => `case ${method.number}:\nreturn ${scope.contract("ServeMethod")}(ctx, request, served.${method.name})`).join("\n")}
	}
	return ${scope.contract("NoSuchMethod")}("${name}", method)
}

// ${name}Client is a [${name}] on the other side of the boundary.
type ${name}Client struct {
	caller ${scope.contract("ModuleCaller")}
}

// New${name}Client makes a client over a caller. It is safe for concurrent use if the caller is.
func New${name}Client(caller ${scope.contract("ModuleCaller")}) *${name}Client {
	return &${name}Client{caller: caller}
}

var _ ${name} = (*${name}Client)(nil)

${described
  .map(
    (one) => `${one.docs}
func (c *${name}Client) ${signature(one.method)} {
	return ${scope.contract("CallMethod")}[${scope.type(one.method.response)}](ctx, c.caller, ${one.method.number}, request)
}`,
  )
  .join("\n\n")}`;
}
