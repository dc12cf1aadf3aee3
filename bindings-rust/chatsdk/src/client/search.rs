//! F6: finding messages.

use super::{Client, Message, Page, open_rows};
use crate::abi::{ListConversationsRequest, SearchMessagesRequest};
use crate::engine::Worker;
use crate::error::Result;
use crate::storage::check_limit;
use crate::storage::search_words::{matches_words, query_words};

/// Messages decrypted at a time.
const BATCH: u32 = 500;

impl Client {
    /// Messages with every word of `query` (the last may be a beginning), newest first; case and accents do not count. In a
    /// protected database all messages are decrypted one after the other.
    pub async fn search(&self, query: &str, page: Page) -> Result<Vec<Message>> {
        self.find(None, query, page).await
    }

    /// The same in one conversation.
    pub async fn search_in(&self, conversation_id: &str, query: &str, page: Page) -> Result<Vec<Message>> {
        self.find(Some(conversation_id), query, page).await
    }

    async fn find(&self, conversation_id: Option<&str>, query: &str, page: Page) -> Result<Vec<Message>> {
        check_limit(page.limit)?;
        let request = SearchMessagesRequest {
            query: query.to_owned(),
            conversation_id: conversation_id.unwrap_or_default().to_owned(),
            before: page.before.clone(),
            limit: page.limit,
        };
        let indexed = move |worker: &mut Worker| {
            if worker.core.seals_messages() {
                return Ok(None);
            }
            let rows = worker.core.storage().search_messages(request)?;
            open_rows(worker, rows).map(Some)
        };
        if let Some(found) = self.inner.engine.with(indexed).await? {
            return Ok(found);
        }
        let ids = match conversation_id {
            Some(id) => vec![id.to_owned()],
            None => self.all_conversation_ids().await?,
        };
        let words = query_words(query);
        let limit = page.limit as usize;
        let mut found = Vec::new();
        for id in ids {
            found.extend(self.scan(&id, &words, &page).await?);
        }
        found.sort_by(|a, b| (b.lamport, &b.id).cmp(&(a.lamport, &a.id)));
        found.truncate(limit);
        Ok(found)
    }

    async fn all_conversation_ids(&self) -> Result<Vec<String>> {
        let list = |worker: &mut Worker| worker.core.storage().list_conversations(ListConversationsRequest::default());
        let rows = self.inner.engine.with(list).await?;
        Ok(rows.conversations.into_iter().map(|row| row.conversation_id).collect())
    }

    /// Page by page, so that other calls get their turn.
    async fn scan(&self, conversation_id: &str, words: &[String], page: &Page) -> Result<Vec<Message>> {
        let mut found = Vec::new();
        let mut before = page.before.clone();
        while !words.is_empty() {
            let batch = self.messages(conversation_id, Page { before, limit: BATCH }).await?;
            let last = batch.last().map(Message::position);
            let complete = batch.len() < BATCH as usize;
            for message in batch {
                if message.text.as_deref().is_some_and(|text| matches_words(text, words)) {
                    found.push(message);
                    if found.len() == page.limit as usize {
                        return Ok(found);
                    }
                }
            }
            if complete {
                break;
            }
            before = last;
        }
        Ok(found)
    }
}
