import type { BoundaryMethod, BoundaryService } from "../ir.ts";
import { snake } from "../text.ts";
import type { RustScope } from "./scope.ts";

/** Both sides of a boundary that carries bytes: a trait with its dispatcher, and the client. */
export function boundary({ name, docs, methods }: BoundaryService, scope: RustScope): string {
  const [error, caller] = [scope.contract("Error"), scope.contract("ModuleCaller")];
  const signature = ({ name: method, request, response }: BoundaryMethod): string =>
    `fn ${snake(method)}(&mut self, request: &${scope.type(request)}) -> Result<${scope.type(response)}, ${error}>`;
  return `${scope.docs(docs)}
pub trait ${name} {
${methods.map((method) => `${scope.docs(method.docs, methods)}\n${signature(method)};`).join("\n\n")}
}

/// Serves a call that came over the boundary: decodes the request, calls the method that has the number, and encodes the result.
pub fn dispatch_${snake(name)}(served: &mut impl ${name}, method: u32, request: &[u8]) -> Vec<u8> {
    match method {
${methods.map((method) => `${method.number} => ${scope.contract("serve_method")}(request, |request| served.${snake(method.name)}(request)),`).join("\n")}
        _ => ${scope.contract("no_such_method")}("${name}", method),
    }
}

/// A [\`${name}\`] on the other side of the boundary.
#[derive(Debug)]
pub struct ${name}Client<Caller> {
    caller: Caller,
}

impl<Caller: ${caller}> ${name}Client<Caller> {
    /// A client over a caller.
    pub fn new(caller: Caller) -> Self {
        Self { caller }
    }
}

impl<Caller: ${caller}> ${name} for ${name}Client<Caller> {
${methods
  .map(
    (method) => `${signature(method)} {
        ${scope.contract("call_method")}(&mut self.caller, ${method.number}, request)
    }`,
  )
  .join("\n\n")}
}`;
}
