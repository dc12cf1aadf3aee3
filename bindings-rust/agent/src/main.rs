//! The conformance agent: conformance/agent/PROTOCOL.md in the repository.

#![forbid(unsafe_code)]

mod agent;
mod moves;
mod output;
#[cfg(feature = "rln")]
mod rln;
mod store;

use std::process::ExitCode;

use chatsdk_json::{Failure, Parameters};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::signal::unix::{SignalKind, signal};

use crate::agent::Agent;
use crate::output::Output;

/// A line of standard input.
#[derive(Deserialize)]
struct Request {
    id: u64,
    method: String,
    #[serde(default)]
    params: Parameters,
}

fn main() -> ExitCode {
    tracing_subscriber::fmt().with_writer(std::io::stderr).with_max_level(tracing::Level::WARN).init();
    let failed = |error: std::io::Error| {
        eprintln!("agent: {error}");
        ExitCode::from(2)
    };
    let runtime = match tokio::runtime::Runtime::new() {
        Ok(runtime) => runtime,
        Err(error) => return failed(error),
    };
    let code = runtime.block_on(run()).unwrap_or_else(failed);
    // A thread may wait for a line of standard input for ever.
    runtime.shutdown_background();
    code
}

async fn run() -> std::io::Result<ExitCode> {
    let output = Output::default();
    let transports = ["light", "relay"];
    let contract = chatsdk::abi::CONTRACT_HASH;
    // Before the first line: whoever reads it may end the agent at once.
    let mut terminated = signal(SignalKind::terminate())?;
    output.write(&json!({
        "ready": { "language": "rust", "address": "tcp", "transports": transports, "contractHash": contract }
    }))?;
    let mut agent = Agent::new(output.clone());
    let mut lines = BufReader::new(tokio::io::stdin()).lines();
    loop {
        let line = tokio::select! {
            line = lines.next_line() => line?,
            _ = terminated.recv() => None,
        };
        let Some(line) = line else { break };
        let Request { id, method, params } = serde_json::from_str(&line).map_err(std::io::Error::other)?;
        match agent.serve(&method, &params).await {
            Ok(result) => output.write(&json!({ "id": id, "result": result }))?,
            Err(failure) => output.write(&json!({ "id": id, "error": error_of(failure) }))?,
        }
    }
    match agent.end().await {
        Ok(()) => Ok(ExitCode::SUCCESS),
        Err(error) => {
            eprintln!("agent: {error}");
            Ok(ExitCode::FAILURE)
        }
    }
}

/// What is wrong with the request itself is a defect of the agent or the test.
fn error_of(failure: Failure) -> Value {
    match failure {
        Failure::Sdk(error) => json!({
            "code": error.code().as_str_name(), "message": error.message(), "retryable": error.is_retryable(),
        }),
        Failure::Request(message) => json!({ "code": "AGENT", "message": message, "retryable": false }),
    }
}
