//! One client, and what it is told.

use chatsdk::{Client, Options};
use chatsdk_json::{Failure, Outcome, Parameters, call, options, shapes};
use futures::StreamExt as _;
use serde_json::{Value, json};

use crate::moves;
use crate::output::Output;
use crate::store::Store;

pub struct Agent {
    output: Output,
    client: Option<Client>,
    /// Writes the events.
    events: Option<tokio::task::JoinHandle<()>>,
    closed: bool,
    store: Store,
}

impl Agent {
    pub fn new(output: Output) -> Self {
        Self { output, client: None, events: None, closed: false, store: Store::default() }
    }

    pub async fn serve(&mut self, method: &str, params: &Parameters) -> Outcome {
        match method {
            "open" => self.open(params).await,
            "close" => self.close().await,
            "storeOpen" => self.store.open(params),
            "store" => self.store.call(params),
            "stats" => {
                let mut stats = call(self.client()?, method, params, moves::read).await?;
                stats["residentBytes"] = resident_bytes()?.into();
                Ok(stats)
            }
            _ => call(self.client()?, method, &moves::to_raw(params)?, moves::read).await,
        }
    }

    /// Closes what is open.
    pub async fn end(&mut self) -> chatsdk::Result<()> {
        let closed = match &self.client {
            Some(client) => client.close().await,
            None => Ok(()),
        };
        self.end_events().await;
        closed.and(self.store.end())
    }

    fn client(&self) -> Outcome<&Client> {
        self.client.as_ref().ok_or_else(|| Failure::request("open: no client was opened"))
    }

    async fn open(&mut self, params: &Parameters) -> Outcome {
        if self.client.is_some() && !self.closed {
            return Err(Failure::request("open: a client is open"));
        }
        let client = Client::open(open_options(params)?).await?;
        if params.flag("events")?.unwrap_or(true) {
            let (mut events, output) = (client.events(), self.output.clone());
            self.events = Some(tokio::spawn(async move {
                while let Some(event) = events.next().await {
                    let Some(line) = shapes::event(&event, moves::read) else { continue };
                    if let Err(error) = output.write(&json!({ "event": line })) {
                        return tracing::error!("standard output: {error}");
                    }
                }
            }));
        }
        self.client = Some(client);
        self.closed = false;
        Ok(Value::Null)
    }

    async fn close(&mut self) -> Outcome {
        let Some(client) = &self.client else { return Ok(Value::Null) };
        let closed = client.close().await;
        self.closed = true;
        self.end_events().await;
        closed?;
        Ok(Value::Null)
    }

    /// The client is closed: the loop comes to its end.
    async fn end_events(&mut self) {
        if let Some(events) = self.events.take()
            && let Err(error) = events.await
        {
            tracing::error!("events: {error}");
        }
    }
}

#[cfg(feature = "rln")]
fn open_options(params: &Parameters) -> Outcome<Options> {
    let mut params = params.clone();
    match params.take_object("rln")? {
        Some(rln) => crate::rln::with_membership(options(&params)?, &rln),
        None => options(&params),
    }
}

/// Which refuse `rln`.
#[cfg(not(feature = "rln"))]
fn open_options(params: &Parameters) -> Outcome<Options> {
    options(params)
}

/// Resident memory of this process, as Linux tells it.
fn resident_bytes() -> Outcome<u64> {
    let status =
        std::fs::read_to_string("/proc/self/status").map_err(|error| Failure::request(format!("stats: {error}")))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kilobytes = line.and_then(|line| line.trim().trim_end_matches(" kB").parse::<u64>().ok());
    kilobytes.map(|kilobytes| kilobytes * 1024).ok_or_else(|| Failure::request("stats: VmRSS is missing"))
}
