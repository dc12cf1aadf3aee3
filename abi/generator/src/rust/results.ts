import type { RustScope } from "./scope.ts";

/** The status byte and the messages that cross the boundary of the core module: the same for every service. */
export function results(scope: RustScope): string {
  const message = scope.from("prost::Message");
  const zeroizing = scope.from("zeroize::Zeroizing");
  const [error, code, failure, maximum] = ["Error", "ErrorCode", "Failure", "MAXIMUM_LENGTH"].map((name) =>
    scope.contract(name),
  );
  return `const RESPONSE: u8 = 0;
const FAILURE: u8 = 1;

/// The source of the error for bytes of the module that are no result: the instance is of no use any more.
#[derive(Debug, thiserror::Error)]
#[error("malformed result")]
pub struct MalformedResult(#[source] Option<prost::DecodeError>);

impl MalformedResult {
    /// Whether an error came of a malformed result.
    pub fn is_source_of(error: &${error}) -> bool {
        std::error::Error::source(error).is_some_and(|source| source.is::<Self>())
    }
}

/// Carries calls over the boundary of the core module.
pub trait ModuleCaller {
    /// Carries a method's number and encoded request, and brings back the encoded response or the error that
    /// [\`decode_result\`] found.
    fn call_module(&mut self, method: u32, request: &[u8]) -> Result<Vec<u8>, ${error}>;
}

impl<Caller: ModuleCaller> ModuleCaller for &mut Caller {
    fn call_module(&mut self, method: u32, request: &[u8]) -> Result<Vec<u8>, ${error}> {
        (**self).call_module(method, request)
    }
}

/// Encodes what crosses the boundary: a response, or the failure that tells of an error.
pub fn encode_result<Response: ${message}>(outcome: Result<Response, ${error}>) -> Vec<u8> {
    let checked = outcome.and_then(|response| check_length("result", 1 + response.encoded_len()).map(|()| response));
    match checked {
        Ok(response) => with_status(RESPONSE, &response),
        Err(error) => with_status(FAILURE, &${failure}::from(&error)),
    }
}

fn with_status(status: u8, message: &impl ${message}) -> Vec<u8> {
    let mut result = Vec::with_capacity(1 + message.encoded_len());
    result.push(status);
    message.encode_raw(&mut result);
    result
}

/// The encoded response in a result, or its failure.
pub fn decode_result(result: &[u8]) -> Result<&[u8], ${error}> {
    match result.split_first() {
        Some((&RESPONSE, response)) => Ok(response),
        Some((&FAILURE, failure)) => match ${failure}::decode(failure) {
            Ok(failure) => Err(failure.into()),
            Err(error) => Err(malformed("a failure does not decode", Some(error))),
        },
        Some((status, _)) => Err(malformed(&format!("a result has the status {status}"), None)),
        None => Err(malformed("a result is empty", None)),
    }
}

/// Makes one call; generated clients use it.
pub fn call_method<Response: ${message} + Default>(
    caller: &mut impl ModuleCaller,
    method: u32,
    request: &impl ${message},
) -> Result<Response, ${error}> {
    check_length("request", request.encoded_len())?;
    // It may hold keys.
    let encoded = ${zeroizing}::new(request.encode_to_vec());
    let response = ${zeroizing}::new(caller.call_module(method, &encoded)?);
    Response::decode(response.as_slice()).map_err(|error| malformed("a response does not decode", Some(error)))
}

/// Serves one call; generated dispatchers use it.
pub fn serve_method<Request: ${message} + Default, Response: ${message}>(
    encoded: &[u8],
    serve: impl FnOnce(&Request) -> Result<Response, ${error}>,
) -> Vec<u8> {
    let request = check_length("request", encoded.len()).and_then(|()| {
        Request::decode(encoded)
            .map_err(|error| ${error}::new(${code}::InvalidArgument, "request: it does not decode").caused_by(error))
    });
    encode_result(request.and_then(|request| serve(&request)))
}

/// The result of a call whose number no method has; generated dispatchers use it.
pub fn no_such_method(service: &str, method: u32) -> Vec<u8> {
    let message = format!("method: {service} has no method {method}");
    encode_result::<${failure}>(Err(${error}::new(${code}::InvalidArgument, message)))
}

fn check_length(what: &str, length: usize) -> Result<(), ${error}> {
    if length <= ${maximum} {
        return Ok(());
    }
    let message = format!("{what}: {length} bytes are too many; at most {${maximum}}");
    Err(${error}::new(${code}::InvalidArgument, message))
}

fn malformed(message: &str, source: Option<prost::DecodeError>) -> ${error} {
    ${error}::new(${code}::Internal, format!("{message}; report this")).caused_by(MalformedResult(source))
}`;
}
