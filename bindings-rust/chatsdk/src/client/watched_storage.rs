//! A database whose accesses a test sees, and may fail.

use crate::abi::{
    ChangeBatch, ConversationBatch, CountUnreadRequest, GetConversationRequest, GetMessageRequest,
    ListConversationsRequest, ListMessagesRequest, MessageRows, Read, ReadAnswer, SearchMessagesRequest, Storage,
    StoredHeader, UnreadCount, VaultHeader,
};
use crate::error::Result;
use crate::storage::SqliteStorage;

/// What is about to be done.
pub(super) enum Access<'a> {
    Read,
    Commit(&'a ChangeBatch),
    /// Of conversations.
    List,
}

pub(super) struct WatchedStorage<Before> {
    storage: SqliteStorage,
    before: Before,
}

impl<Before: Fn(Access<'_>) -> Result<()>> WatchedStorage<Before> {
    /// Nothing is done if `before` fails or panics.
    pub(super) fn new(storage: SqliteStorage, before: Before) -> Self {
        Self { storage, before }
    }
}

impl<Before: Fn(Access<'_>) -> Result<()> + Send + Sync> Storage for WatchedStorage<Before> {
    fn get_header(&self) -> Result<StoredHeader> {
        self.storage.get_header()
    }

    fn put_header(&self, header: VaultHeader) -> Result<()> {
        Storage::put_header(&self.storage, header)
    }

    fn read(&self, read: Read) -> Result<ReadAnswer> {
        (self.before)(Access::Read)?;
        self.storage.read(read)
    }

    fn commit(&self, batch: ChangeBatch) -> Result<()> {
        (self.before)(Access::Commit(&batch))?;
        Storage::commit(&self.storage, batch)
    }

    fn list_conversations(&self, request: ListConversationsRequest) -> Result<ConversationBatch> {
        (self.before)(Access::List)?;
        self.storage.list_conversations(request)
    }

    fn get_conversation(&self, request: GetConversationRequest) -> Result<ConversationBatch> {
        self.storage.get_conversation(request)
    }

    fn get_message(&self, request: GetMessageRequest) -> Result<MessageRows> {
        self.storage.get_message(request)
    }

    fn list_messages(&self, request: ListMessagesRequest) -> Result<MessageRows> {
        self.storage.list_messages(request)
    }

    fn count_unread(&self, request: CountUnreadRequest) -> Result<UnreadCount> {
        self.storage.count_unread(request)
    }

    fn search_messages(&self, request: SearchMessagesRequest) -> Result<MessageRows> {
        self.storage.search_messages(request)
    }

    fn close(&self) -> Result<()> {
        Storage::close(&self.storage)
    }
}
