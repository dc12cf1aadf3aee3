// The contract as a WIT world: the same bytes cross the boundary of a component, between `call` and `host-call`.
import type { BoundaryService, Contract, ErrorCase, Identity, Service } from "../ir.ts";
import { GENERATED, type Language } from "../language.ts";
import { kebab, lineComment } from "../text.ts";

export const generateWit: Language = (contract) =>
  contract.packages.flatMap(({ identity, services }) =>
    identity ? [{ path: "chatsdk.wit", text: world(identity, contract, services) }] : [],
  );

function world({ version, hash }: Identity, { errors }: Contract, services: readonly Service[]): string {
  return `// ${GENERATED}

${lineComment("///", `The boundary of the core module as a component. Its contract is abi/proto, version ${version}, ${hash}: messages are encoded protobuf messages of the package chatsdk.v1.`)}
package chatsdk:abi@${version}.0.0;

/// What both directions share.
interface types {
${errorCode(errors)}

  /// Why a call failed.
  record failure {
    /// Which.
    code: error-code,
    /// For a developer: names the field and the remedy. Never a secret.
    message: string,
    /// The same call may succeed later.
    retryable: bool,
  }
}

${callInterface(boundaryNamed("CoreModule", services), "call")}

${callInterface(boundaryNamed("ModuleHost", services), "host-call")}

/// The core: a deterministic state machine. One instance serves one database and one call at a time.
world core {
  import module-host;
  export core-module;
}`;
}

/** The values of a WIT enum count from 0, as the schema's must then. */
function errorCode(errors: readonly ErrorCase[]): string {
  for (const [index, { name, number }] of errors.entries())
    if (number !== index + 1) throw new Error(`ErrorCode.${name}: its number is not the next one, ${index + 1}`);
  const cases = errors.map(
    ({ name, what, remedy }) => `${docs(`${what} Remedy: ${remedy}`, "    ")}\n    ${kebab(name)},`,
  );
  return `  /// Which error; the numbers are those of the schema.
  enum error-code {
    /// Not an error.
    unspecified,
${cases.join("\n")}
  }`;
}

function callInterface({ name, docs: text, methods }: BoundaryService, call: string): string {
  return `${docs(text, "")}
interface ${kebab(name)} {
  use types.{failure};

  /// Calls a method by its number with an encoded request, and returns the encoded response.
  ///
${methods
  .map((method) =>
    docs(
      `- ${method.number}, ${method.name} (${method.request.name} to ${method.response.name}): ${method.docs}`,
      "  ",
    ),
  )
  .join("\n")}
  ${call}: func(method: u32, request: list<u8>) -> result<list<u8>, failure>;
}`;
}

function boundaryNamed(name: string, services: readonly Service[]): BoundaryService {
  const found = services.find((service) => service.name === name);
  if (found?.kind !== "boundary") throw new Error(`the contract has no boundary ${name}`);
  return found;
}

function docs(text: string, indentation: string): string {
  return lineComment(`${indentation}///`, text);
}
