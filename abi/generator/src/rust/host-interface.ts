import type { HostMethod, HostService } from "../ir.ts";
import { snake } from "../text.ts";
import type { RustScope } from "./scope.ts";

export function hostInterface({ name, docs, blocking, methods }: HostService, scope: RustScope): string {
  const waits = !blocking && methods.some(({ streams }) => !streams);
  return `${scope.docs(docs, methods)}
${waits ? `#[${scope.from("async_trait::async_trait")}]\n` : ""}pub trait ${name}: Send + Sync {
${methods.map((method) => `${scope.docs(method.docs, methods)}\n${signature(method, blocking, scope)};`).join("\n\n")}
}`;
}

/** Messages without fields are neither parameters nor results. */
function signature({ name, request, response, streams }: HostMethod, blocking: boolean, scope: RustScope): string {
  const parameters = request.fields.length > 0 ? `&self, request: ${scope.type(request)}` : "&self";
  const answer = response.fields.length > 0 ? scope.type(response) : "()";
  const result = `Result<${answer}, ${scope.contract("Error")}>`;
  if (streams)
    return `fn ${snake(name)}(${parameters}) -> ${scope.from("futures::stream::BoxStream")}<'static, ${result}>`;
  return `${blocking ? "" : "async "}fn ${snake(name)}(${parameters}) -> ${result}`;
}
