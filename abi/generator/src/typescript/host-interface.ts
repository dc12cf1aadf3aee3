import type { HostMethod, HostService } from "../ir.ts";
import { camel } from "../text.ts";
import type { TypeScriptScope } from "./scope.ts";

export function hostInterface({ name, docs, blocking, methods }: HostService, scope: TypeScriptScope): string {
  return `${scope.docs(docs, "", methods)}
export interface ${name} {
${methods.map((method) => `${scope.docs(method.docs, "  ", methods)}\n  ${signature(method, blocking, scope)};`).join("\n")}
}`;
}

/** Messages without fields are neither parameters nor results. */
function signature(
  { name, request, response, streams }: HostMethod,
  blocking: boolean,
  scope: TypeScriptScope,
): string {
  const parameters = request.fields.length > 0 ? `request: ${scope.shape(request)}` : "";
  const answer = response.fields.length > 0 ? scope.shape(response) : "void";
  const result = streams ? `AsyncIterable<${answer}>` : blocking ? answer : `Promise<${answer}>`;
  return `${camel(name)}(${parameters}): ${result}`;
}
