//! The methods of the store: the SQLite storage alone.

use chatsdk::abi::{ChangeBatch, Done, Storage};
use chatsdk::{SqliteOptions, SqliteStorage};
use chatsdk_json::{Failure, Outcome, Parameters};
use prost::Message;
use serde_json::Value;

/// At most one store, beside a client or without one.
#[derive(Default)]
pub struct Store {
    storage: Option<SqliteStorage>,
    closed: bool,
}

impl Store {
    pub fn open(&mut self, params: &Parameters) -> Outcome {
        if self.storage.is_some() && !self.closed {
            return Err(Failure::request("storeOpen: a store is open"));
        }
        let options = SqliteOptions { create: true, ..SqliteOptions::default() };
        self.storage = Some(SqliteStorage::open(params.text("path")?, options)?);
        self.closed = false;
        Ok(Value::Null)
    }

    pub fn call(&mut self, params: &Parameters) -> Outcome {
        let storage = self.storage.as_ref().ok_or_else(|| Failure::request("store: no store was opened"))?;
        let storage: &dyn Storage = storage;
        let request = params.bytes("request")?;
        let response = match params.text("method")? {
            "GetHeader" => serve(&request, |_: Done| storage.get_header()),
            "PutHeader" => serve(&request, |header| storage.put_header(header).map(done)),
            "Read" => serve(&request, |read| storage.read(read)),
            "Commit" => serve(&request, |batch: ChangeBatch| storage.commit(batch).map(done)),
            "ListConversations" => serve(&request, |request| storage.list_conversations(request)),
            "GetConversation" => serve(&request, |request| storage.get_conversation(request)),
            "GetMessage" => serve(&request, |request| storage.get_message(request)),
            "ListMessages" => serve(&request, |request| storage.list_messages(request)),
            "CountUnread" => serve(&request, |request| storage.count_unread(request)),
            "SearchMessages" => serve(&request, |request| storage.search_messages(request)),
            "Close" => {
                self.closed = true;
                serve(&request, |_: Done| storage.close().map(done))
            }
            method => Err(Failure::request(format!("store: no method {method}"))),
        }?;
        Ok(hex::encode(response).into())
    }

    pub fn end(&self) -> chatsdk::Result<()> {
        self.storage.as_ref().map_or(Ok(()), Storage::close)
    }
}

fn serve<Request: Message + Default, Response: Message>(
    request: &[u8],
    call: impl FnOnce(Request) -> chatsdk::Result<Response>,
) -> Outcome<Vec<u8>> {
    let request = Request::decode(request).map_err(|error| Failure::request(format!("request: {error}")))?;
    Ok(call(request)?.encode_to_vec())
}

fn done((): ()) -> Done {
    Done {}
}
