import type { ErrorCase } from "../ir.ts";
import { pascalOfConstant, upperFirst } from "../text.ts";
import type { RustScope } from "./scope.ts";

export function errors(cases: readonly ErrorCase[], scope: RustScope): string {
  const code = scope.contract("ErrorCode");
  const failure = scope.contract("Failure");
  return `/// A failed call. It has changed nothing, unless the description of its code says otherwise.
#[derive(Debug, thiserror::Error)]
#[error("{code}: {message}")]
pub struct Error {
    code: ${code},
    message: String,
    retryable: bool,
    source: Option<Box<dyn std::error::Error + Send + Sync>>,
}

impl Error {
    /// An error that is not worth another try. The message names the field and the remedy, and never holds a secret.
    pub fn new(code: ${code}, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), retryable: false, source: None }
    }

    /// The same call may succeed later.
    #[must_use]
    pub fn retryable(mut self) -> Self {
        self.retryable = true;
        self
    }

    /// What led to it.
    #[must_use]
    pub fn caused_by(mut self, source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        self.source = Some(source.into());
        self
    }

    /// For the program: what to do.
    pub fn code(&self) -> ${code} {
        self.code
    }

    /// For a developer: names the field and the remedy. Never a secret.
    pub fn message(&self) -> &str {
        &self.message
    }

    /// The same call may succeed later.
    pub fn is_retryable(&self) -> bool {
        self.retryable
    }
}

impl From<${failure}> for Error {
    fn from(failure: ${failure}) -> Self {
        let code = ${code}::try_from(failure.code).unwrap_or(${code}::Internal);
        Self { code, message: failure.message, retryable: failure.retryable, source: None }
    }
}

impl From<&Error> for ${failure} {
    fn from(error: &Error) -> Self {
        Self { code: error.code.into(), message: error.message.clone(), retryable: error.retryable }
    }
}

impl ${code} {
    /// What happened.
    pub fn description(self) -> &'static str {
        match self {
            Self::Unspecified => "Not an error.",
${cases.map(({ name, what }) => `Self::${pascalOfConstant(name)} => ${JSON.stringify(what)},`).join("\n")}
        }
    }

    /// What the caller should do.
    pub fn remedy(self) -> &'static str {
        match self {
            Self::Unspecified => "None.",
${cases.map(({ name, remedy }) => `Self::${pascalOfConstant(name)} => ${JSON.stringify(upperFirst(remedy))},`).join("\n")}
        }
    }
}`;
}
