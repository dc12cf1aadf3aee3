//! The default storage as the contract names it.

use super::SqliteStorage;
use crate::abi::{
    ChangeBatch, ConversationBatch, CountUnreadRequest, GetConversationRequest, GetMessageRequest,
    ListConversationsRequest, ListMessagesRequest, MessageRow, MessageRows, Read, ReadAnswer, SearchMessagesRequest,
    Storage, StoredHeader, UnreadCount, VaultHeader, read,
};
use crate::error::{Error, ErrorCode, Result};

impl Storage for SqliteStorage {
    fn get_header(&self) -> Result<StoredHeader> {
        Ok(StoredHeader { header: self.header()? })
    }

    fn put_header(&self, header: VaultHeader) -> Result<()> {
        Self::put_header(self, &header)
    }

    fn read(&self, read: Read) -> Result<ReadAnswer> {
        let records = match read.read {
            Some(read::Read::Get(key)) => self.get(&key)?.into_iter().collect(),
            Some(read::Read::FindTag(tag)) => self.find_tag(&tag)?.into_iter().collect(),
            Some(read::Read::Scan(scan)) => self.scan(&scan.prefix, scan.limit)?,
            None => return Err(Error::new(ErrorCode::Internal, "read: reads nothing; report this")),
        };
        Ok(ReadAnswer { records })
    }

    fn commit(&self, batch: ChangeBatch) -> Result<()> {
        Self::commit(self, &batch.changes)
    }

    fn list_conversations(&self, request: ListConversationsRequest) -> Result<ConversationBatch> {
        Ok(ConversationBatch { conversations: self.conversations(&request.account_id)? })
    }

    fn get_conversation(&self, request: GetConversationRequest) -> Result<ConversationBatch> {
        Ok(ConversationBatch { conversations: self.conversation(&request.conversation_id)?.into_iter().collect() })
    }

    fn get_message(&self, request: GetMessageRequest) -> Result<MessageRows> {
        Ok(rows(self.message(&request.conversation_id, &request.message_id)?))
    }

    fn list_messages(&self, request: ListMessagesRequest) -> Result<MessageRows> {
        Ok(rows(self.page(&request)?))
    }

    fn count_unread(&self, request: CountUnreadRequest) -> Result<UnreadCount> {
        Ok(UnreadCount { unread: self.unread_count(&request.conversation_id)?.into() })
    }

    fn search_messages(&self, request: SearchMessagesRequest) -> Result<MessageRows> {
        Ok(rows(self.search(&request)?))
    }

    fn close(&self) -> Result<()> {
        Self::close(self);
        Ok(())
    }
}

fn rows(rows: impl IntoIterator<Item = MessageRow>) -> MessageRows {
    MessageRows { rows: rows.into_iter().collect() }
}

/// Whether a storage without a header has records all the same.
pub(crate) fn has_records(storage: &dyn Storage) -> Result<bool> {
    let first = read::Read::Scan(crate::abi::Scan { prefix: String::new(), limit: 1 });
    Ok(!storage.read(Read { read: Some(first) })?.records.is_empty())
}
