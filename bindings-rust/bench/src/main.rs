//! One conversation in wasmtime, for `npm run bench:hosts`: `chatsdk-bench MODULE [COUNT...]`. It prints a line when the first
//! message is encrypted, and a result after the last count, with the memory at each: see bench/hosts/result.ts.

#![forbid(unsafe_code)]

mod conversation;
mod disk;
mod person;

// Of chatsdk; not all of it is used here.
#[allow(dead_code, unused_imports)]
#[path = "../../chatsdk/src/abi/mod.rs"]
mod abi;
#[path = "../../chatsdk/src/error.rs"]
mod error;
#[allow(dead_code)]
mod module;

use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use conversation::{Conversation, Cost, Failure};
use module::CompiledModule;

/// Messages measured at once.
const PART: u32 = 20;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match run(&arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("{failure}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &[String]) -> Result<(), Failure> {
    let Some((path, counts)) = arguments.split_first() else {
        return Err("usage: chatsdk-bench MODULE [COUNT...]".into());
    };
    let code = std::fs::read(path)?;
    let began = Instant::now();
    let module = Arc::new(CompiledModule::compile(&code)?);
    let compiled = began.elapsed();
    let mut conversation = Conversation::new(&module)?;
    println!("first message");
    let mut parts = Vec::new();
    let mut memory = Vec::new();
    for count in counts {
        let count: u32 = count.parse()?;
        while conversation.messages < count {
            parts.push(measure_part(&mut conversation)?);
        }
        memory.push((conversation.messages, conversation.memory_bytes()));
    }
    let result = serde_json::json!({
        "compileMs": compiled.as_secs_f64() * 1000.0,
        "instantiateMs": conversation.instantiation().as_secs_f64() * 1000.0,
        "pingPongPerSecond": per_second(parts.iter().map(|part| part.exchange).collect()),
        "messagesPerSecond": per_second(parts.iter().map(|part| part.total).collect()),
        "memory": memory,
        "digest": conversation.digest(),
    });
    println!("{result}");
    Ok(())
}

fn measure_part(conversation: &mut Conversation) -> Result<Cost, Failure> {
    let before = conversation.cost;
    for _ in 0..PART {
        conversation.exchange()?;
    }
    let Cost { exchange, total } = conversation.cost;
    Ok(Cost { exchange: exchange - before.exchange, total: total - before.total })
}

/// By the median, so that a part in which the machine did something else counts no more than another.
fn per_second(mut parts: Vec<Duration>) -> f64 {
    parts.sort_unstable();
    parts.get(parts.len() / 2).map_or(0.0, |middle| f64::from(PART) / middle.as_secs_f64())
}
