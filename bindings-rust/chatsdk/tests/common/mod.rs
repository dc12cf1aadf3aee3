//! What the tests of clients share.

#![allow(dead_code, reason = "each test program uses a part")]

pub mod network;

use std::time::Duration;

use chatsdk::{Client, Event, Events, FileRollbackAnchor, Options, StorageKey};
use futures::StreamExt as _;
use tempfile::TempDir;

/// Nothing takes longer on a healthy machine.
pub const PATIENCE: Duration = Duration::from_secs(90);

/// A folder with the databases of a test and its rollback anchors.
pub struct Stage {
    pub folder: TempDir,
}

impl Default for Stage {
    fn default() -> Self {
        Self { folder: tempfile::tempdir().unwrap() }
    }
}

impl Stage {
    pub fn new() -> Self {
        Self::default()
    }

    pub fn path(&self, name: &str) -> std::path::PathBuf {
        self.folder.path().join(format!("{name}.db"))
    }

    /// Options for a database of this folder.
    pub fn options(&self, name: &str, key: StorageKey) -> Options {
        let anchor = FileRollbackAnchor::new(self.folder.path().join("anchors")).unwrap();
        Options::new(self.path(name), key).anchor(anchor)
    }
}

/// A client with its events.
pub struct Person {
    pub chat: Client,
    pub events: Events,
}

impl Person {
    pub async fn open(options: Options) -> Self {
        let chat = Client::open(options).await.unwrap();
        let events = chat.events();
        Self { chat, events }
    }

    /// The next event for which `pick` gives something.
    pub async fn until<T>(&mut self, what: &str, mut pick: impl FnMut(&Event) -> Option<T>) -> T {
        let picking = async {
            loop {
                let event = self.events.next().await.unwrap_or_else(|| panic!("the events ended before: {what}"));
                if let Some(found) = pick(&event) {
                    return found;
                }
            }
        };
        tokio::time::timeout(PATIENCE, picking).await.unwrap_or_else(|_| panic!("did not come: {what}"))
    }

    pub async fn until_text(&mut self, text: &str) -> chatsdk::Message {
        self.until(text, |event| match event {
            Event::MessageReceived { message, .. } if message.text.as_deref() == Some(text) => Some(message.clone()),
            _ => None,
        })
        .await
    }

    pub async fn until_status(&mut self, message_id: &str, wanted: chatsdk::DeliveryStatus) {
        self.until(&format!("{wanted:?}"), |event| match event {
            Event::MessageStatusChanged { message_id: id, status, .. } => {
                (id == message_id && *status == wanted).then_some(())
            }
            _ => None,
        })
        .await;
    }

    pub async fn until_online(&mut self) {
        if self.chat.is_online() {
            return;
        }
        self.until("online", |event| matches!(event, Event::ConnectionChanged { online: true }).then_some(())).await;
    }

    pub async fn close(self) {
        self.chat.close().await.unwrap();
    }
}
