import type { HostMethod, HostService } from "../ir.ts";
import { methodDocs, typeDocs } from "./docs.ts";
import type { GoScope } from "./scope.ts";

export function hostInterface({ name, docs, methods }: HostService, scope: GoScope): string {
  return `${typeDocs(name, scope.linked(docs))}
type ${name} interface {
${methods.map((method) => `${methodDocs(method.name, scope.linked(method.docs))}\n${signature(method, scope)}`).join("\n")}
}`;
}

/** Messages without fields are neither parameters nor results. */
function signature({ name, request, response, streams }: HostMethod, scope: GoScope): string {
  const parameters = [`ctx ${scope.from("context")}.Context`];
  if (request.fields.length > 0) parameters.push(`request *${scope.type(request)}`);
  const type = `*${scope.type(response)}`;
  if (streams) return `${name}(${parameters.join(", ")}) ${scope.from("iter")}.Seq2[${type}, error]`;
  return `${name}(${parameters.join(", ")}) ${response.fields.length > 0 ? `(${type}, error)` : "error"}`;
}
