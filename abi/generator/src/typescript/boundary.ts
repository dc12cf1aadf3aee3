import type { BoundaryService } from "../ir.ts";
import { camel } from "../text.ts";
import type { TypeScriptScope } from "./scope.ts";

/** Both sides of a boundary that carries bytes: an interface with its dispatcher, and the client. */
export function boundary({ name, docs, methods }: BoundaryService, scope: TypeScriptScope): string {
  const caller = scope.contractType("results", "ModuleCaller");
  const schemas = ({ request, response }: BoundaryService["methods"][number]): string =>
    `[${scope.schema(request)}, ${scope.schema(response)}]`;
  return `${scope.docs(docs)}
export interface ${name} {
${methods
  .map(
    (method) => `${scope.docs(method.docs, "  ", methods)}
  ${camel(method.name)}(request: ${scope.shape(method.request)}): ${scope.init(method.response)};`,
  )
  .join("\n")}
}

/**
 * Serves a call that came over the boundary: decodes the request, calls the method that has the number, and encodes the result.
 * Never throws.
 */
export function dispatch${name}(served: ${name}, method: number, request: Uint8Array): Uint8Array {
  switch (method) {
${methods
  .map(
    (method) => `    case ${method.number}:
      return ${scope.contract("results", "serveMethod")}(${schemas(method)}, request, (message) => served.${camel(method.name)}(message));`,
  )
  .join("\n")}
    default:
      return ${scope.contract("results", "noSuchMethod")}("${name}", method);
  }
}

/** A \`${name}\` on the other side of the boundary. */
export class ${name}Client implements ${name} {
  readonly #caller: ${caller};

  constructor(caller: ${caller}) {
    this.#caller = caller;
  }

${methods
  .map(
    (method) => `${scope.docs(method.docs, "  ", methods)}
  ${camel(method.name)}(request: ${scope.init(method.request)}): ${scope.shape(method.response)} {
    return ${scope.contract("results", "callMethod")}(this.#caller, ${method.number}, ${schemas(method)}, request);
  }`,
  )
  .join("\n\n")}
}`;
}
