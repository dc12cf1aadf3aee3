import type { CallMethod, CallService } from "../ir.ts";
import { pascal, snake } from "../text.ts";
import type { RustScope } from "./scope.ts";

/** A client of calls that travel in one input message. */
export function calls(service: CallService, scope: RustScope): string {
  const { name, docs, input, reply, failure, methods } = service;
  const [inputType, replyType] = [caseType(input, scope), caseType(reply, scope)];
  const error = scope.contract("Error");
  return `/// Carries the calls of [\`${name}\`].
pub trait ${name}Caller: Send + Sync {
    /// Feeds an input in and returns the reply to it; a failure may be either.
    fn call(&self, input: ${inputType}) -> impl Future<Output = Result<${replyType}, ${error}>> + Send;
}

${scope.docs(docs)}
#[derive(Debug)]
pub struct ${name}<Caller> {
    caller: Caller,
}

impl<Caller: ${name}Caller> ${name}<Caller> {
    /// A client over a caller.
    pub fn new(caller: Caller) -> Self {
        Self { caller }
    }

${methods.map((method) => callMethod(service, method, scope)).join("\n\n")}
}

fn unexpected(method: &str, reply: ${replyType}) -> ${error} {
    match reply {
        ${replyType}::${pascal(failure)}(failure) => failure.into(),
        _ => ${error}::new(${scope.contract("ErrorCode")}::Internal, format!("{method} was answered with another call's reply; report this")),
    }
}`;
}

function callMethod({ input, reply, methods }: CallService, method: CallMethod, scope: RustScope): string {
  const { name, docs, request, response } = method;
  return `${scope.docs(docs, methods)}
    pub async fn ${snake(name)}(&self, request: ${scope.type(request)}) -> Result<${scope.type(response)}, ${scope.contract("Error")}> {
        match self.caller.call(${caseType(input, scope)}::${pascal(method.input)}(request)).await? {
            ${caseType(reply, scope)}::${pascal(method.reply)}(response) => Ok(response),
            reply => Err(unexpected("${snake(name)}", reply)),
        }
    }`;
}

/** prost's enum for a oneof, in the module of its message. */
function caseType({ message, oneof }: CallService["input"], scope: RustScope): string {
  const module = scope.type({ ...message, name: snake(message.name) });
  return `${module}::${pascal(oneof)}`;
}
