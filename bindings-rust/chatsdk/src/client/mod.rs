//! The chat client.

mod acknowledger;
mod content;
mod event;
mod event_feed;
#[cfg(test)]
mod host_tests;
mod membership;
mod model;
mod naming;
mod open;
mod options;
mod redacted;
mod search;
#[cfg(test)]
mod trap_tests;
#[cfg(test)]
mod untaken_tests;
#[cfg(test)]
mod watched_storage;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use self::acknowledger::Acknowledger;
pub use self::content::{AttachmentReference, Content, ContentType, Reaction, ReadReceipt, Reply, Text};
pub use self::event::Event;
use self::event_feed::EventFeed;
pub use self::event_feed::Events;
pub use self::membership::RateLimitMembership;
pub use self::model::{
    Account, Conversation, DeliveryStatus, FailureReason, Invite, InviteDetails, Message, Position, Quota, SessionState,
};
pub(crate) use self::naming::quoted;
use self::naming::renamed;
pub use self::options::{InviteOptions, Options, Page, Stats};
use crate::abi::Entropy;
use crate::abi::Storage;
use crate::abi::Transport;
use crate::abi::{
    AcceptInviteRequest, AcceptRepairRequest, CancelMessageRequest, Chat, CountUnreadRequest, CreateAccountRequest,
    CreateInviteRequest, DeleteAccountRequest, DeleteConversationRequest, GetConversationRequest, GetMessageRequest,
    GetQuotaRequest, GetSafetyNumberRequest, InspectInviteRequest, ListAccountsRequest, ListConversationsRequest,
    ListInvitesRequest, ListMessagesRequest, MarkReadRequest, MessageRows, RepairConversationRequest,
    RevokeInviteRequest, SendMessageRequest, SetVerifiedRequest,
};
use crate::engine::{Engine, Worker};
use crate::error::{Error, ErrorCode, Result};
use crate::keys::{StorageKey, derive_key, new_derivation};
use crate::storage::RollbackAnchor;

/// A chat client: accounts, invites, conversations and messages of one database, connected to a Waku network. Every method
/// that changes something returns once the change is durable.
///
/// Clones are the same client, usable from any task or thread. A call whose future is dropped before its turn is not begun;
/// one that has begun is finished. Call [`Client::close`] at the end: dropping the last clone closes too, but waits for nothing.
#[derive(Clone)]
pub struct Client {
    inner: Arc<Inner>,
}

struct Inner {
    engine: Arc<Engine>,
    chat: Chat<Arc<Engine>>,
    feed: Arc<EventFeed>,
    acknowledger: Arc<Acknowledger>,
    storage: Arc<dyn Storage>,
    transport: Arc<dyn Transport>,
    entropy: Arc<dyn Entropy>,
    anchor: Option<Arc<dyn RollbackAnchor>>,
    membership: Option<Arc<dyn RateLimitMembership>>,
    database_id: String,
    /// Generation of the database when it was opened.
    opened_at: u64,
    online: Arc<AtomicBool>,
    /// Held while `default_account` looks and makes.
    first_account: tokio::sync::Mutex<()>,
    closed: tokio::sync::Mutex<bool>,
    runtime: tokio::runtime::Handle,
}

impl Client {
    /// True while at least one service node is connected; false once the client is closed.
    pub fn is_online(&self) -> bool {
        self.inner.online.load(Ordering::Relaxed)
    }

    /// What the client uses.
    pub async fn stats(&self) -> Result<Stats> {
        let online = self.is_online();
        let of_core = |worker: &mut Worker| Ok((worker.core.memory_bytes(), worker.core.restarts()));
        let (module_bytes, restarts) = self.inner.engine.with(of_core).await?;
        Ok(Stats { online, module_bytes, restarts })
    }

    /// Changes what opens the database, such as its passphrase. Keys and messages are not written again: who knows the old key
    /// and has an old copy of the file can still read that copy.
    ///
    /// # Errors
    /// `WRONG_KEY` if `old` does not open it, `INVALID_ARGUMENT` if one of the keys is [`StorageKey::Unprotected`]: messages keep
    /// the protection they were written with.
    pub async fn change_storage_key(&self, old: StorageKey, new: StorageKey) -> Result<()> {
        if [&old, &new].contains(&&StorageKey::Unprotected) {
            let message = "new: protection cannot be added or taken away; make a new database";
            return Err(Error::new(ErrorCode::InvalidArgument, message));
        }
        let storage = Arc::clone(&self.inner.storage);
        let deriving = tokio::task::spawn_blocking(move || {
            let Some(header) = storage.get_header()?.header else {
                return Err(Error::new(ErrorCode::DatabaseCorrupt, "database: it has no header; restore a backup"));
            };
            let of_new = |error| renamed(error, "storage_key", "new");
            let derivation = new_derivation(&new).map_err(of_new)?;
            let old = derive_key(&old, &header.derivation.unwrap_or_default())
                .map_err(|error| renamed(error, "storage_key", "old"))?;
            let new = derive_key(&new, &derivation).map_err(of_new)?;
            Ok((old, derivation, new))
        });
        let (old, derivation, new) = deriving.await.map_err(|error| {
            Error::new(ErrorCode::Internal, "deriving the key ended unexpectedly; report this").caused_by(error)
        })??;
        let entropy = self.inner.entropy.draw()?.bytes;
        let rekey = move |worker: &mut Worker| worker.core.rekey(&old, derivation, new, entropy);
        self.inner.engine.with(rekey).await.map_err(|error| renamed(error, "key", "old"))
    }

    // Accounts.

    /// F1: makes an identity. Nothing is registered anywhere.
    pub async fn create_account(&self) -> Result<Account> {
        self.inner.chat.create_account(CreateAccountRequest {}).await.map(Account::from)
    }

    /// Oldest first.
    pub async fn accounts(&self) -> Result<Vec<Account>> {
        let list = self.inner.chat.list_accounts(ListAccountsRequest {}).await?;
        Ok(list.accounts.into_iter().map(Account::from).collect())
    }

    /// The oldest account; made now if there is none.
    pub async fn default_account(&self) -> Result<Account> {
        let _one_at_a_time = self.inner.first_account.lock().await;
        match self.accounts().await?.into_iter().next() {
            Some(oldest) => Ok(oldest),
            None => self.create_account().await,
        }
    }

    /// Deletes an account with its conversations, messages and invites from this device. Fails with `ACCOUNT_NOT_FOUND`.
    pub async fn delete_account(&self, account_id: &str) -> Result<()> {
        let request = DeleteAccountRequest { account_id: account_id.to_owned() };
        self.inner.chat.delete_account(request).await.map(drop)
    }

    // Invites.

    /// U2: makes a link to share out of band. Fails with `ACCOUNT_NOT_FOUND`, `INVALID_ARGUMENT`.
    pub async fn create_invite(&self, account_id: &str, options: InviteOptions) -> Result<Invite> {
        let valid_for_ms = match options.valid_for {
            None => 0,
            // The core reads 0 as the default.
            Some(time) => u64::try_from(time.as_millis()).ok().filter(|&ms| ms > 0).ok_or_else(|| {
                Error::new(ErrorCode::InvalidArgument, "valid_for: give at least a millisecond, and at most a year")
            })?,
        };
        let request =
            CreateInviteRequest { account_id: account_id.to_owned(), valid_for_ms, reusable: options.reusable };
        let made = self.inner.chat.create_invite(request).await;
        made.map(Invite::from).map_err(|error| renamed(error, "valid_for_ms", "valid_for"))
    }

    /// Invites that can still be accepted, oldest first.
    pub async fn invites(&self, account_id: &str) -> Result<Vec<Invite>> {
        let request = ListInvitesRequest { account_id: account_id.to_owned() };
        let list = self.inner.chat.list_invites(request).await?;
        Ok(list.invites.into_iter().map(Invite::from).collect())
    }

    /// Makes an invite unusable. Fails with `INVITE_NOT_FOUND`.
    pub async fn revoke_invite(&self, invite_id: &str) -> Result<()> {
        let request = RevokeInviteRequest { invite_id: invite_id.to_owned() };
        self.inner.chat.revoke_invite(request).await.map(drop)
    }

    /// Reads a link without accepting it. Fails with `INVALID_INVITE`, `INVITE_EXPIRED`, `INVITE_WRONG_NETWORK`,
    /// `UNSUPPORTED_SUITE`.
    pub async fn inspect_invite(&self, link: &str) -> Result<InviteDetails> {
        let request = InspectInviteRequest { link: link.to_owned() };
        self.inner.chat.inspect_invite(request).await.map(InviteDetails::from)
    }

    /// U1: starts a conversation with the link's author, who need not be online, by a first message. Fails as
    /// [`Client::inspect_invite`], and with `INVITE_ALREADY_ACCEPTED`, `INVITE_OWN`, `CONTENT_TOO_LARGE`.
    pub async fn accept_invite(&self, account_id: &str, link: &str, first: impl Into<Content>) -> Result<Conversation> {
        let content = Some(checked(first.into())?);
        let request = AcceptInviteRequest { account_id: account_id.to_owned(), link: link.to_owned(), content };
        let sent = self.inner.chat.accept_invite(request).await?;
        sent.conversation.map(Conversation::from).ok_or_else(|| incomplete("conversation"))
    }

    // Conversations.

    /// Of all accounts, the latest activity first.
    pub async fn conversations(&self) -> Result<Vec<Conversation>> {
        self.list_conversations(String::new()).await
    }

    /// Of one account, the latest activity first.
    pub async fn conversations_of(&self, account_id: &str) -> Result<Vec<Conversation>> {
        self.list_conversations(account_id.to_owned()).await
    }

    async fn list_conversations(&self, account_id: String) -> Result<Vec<Conversation>> {
        let list = move |worker: &mut Worker| {
            let rows = worker.core.storage().list_conversations(ListConversationsRequest { account_id })?;
            worker.core.open_conversations(rows.conversations)
        };
        Ok(self.inner.engine.with(list).await?.into_iter().map(Conversation::from).collect())
    }

    /// One conversation. Fails with `CONVERSATION_NOT_FOUND`.
    pub async fn conversation(&self, conversation_id: &str) -> Result<Conversation> {
        let request = GetConversationRequest { conversation_id: conversation_id.to_owned() };
        let get = move |worker: &mut Worker| {
            let rows = worker.core.storage().get_conversation(request)?;
            worker.core.open_conversations(rows.conversations)
        };
        self.inner.engine.with(get).await?.into_iter().next().map(Conversation::from).ok_or_else(|| {
            let id = quoted(conversation_id);
            let message = format!("conversation_id: no conversation {id}; list the conversations");
            Error::new(ErrorCode::ConversationNotFound, message)
        })
    }

    /// Deletes keys and messages from this device. The peer is not told. Fails with `CONVERSATION_NOT_FOUND`.
    pub async fn delete_conversation(&self, conversation_id: &str) -> Result<()> {
        let request = DeleteConversationRequest { conversation_id: conversation_id.to_owned() };
        self.inner.chat.delete_conversation(request).await.map(drop)
    }

    /// Sixty digits both sides compare to know that nobody sits between them. Fails with `CONVERSATION_NOT_FOUND`.
    pub async fn safety_number(&self, conversation_id: &str) -> Result<String> {
        let request = GetSafetyNumberRequest { conversation_id: conversation_id.to_owned() };
        self.inner.chat.get_safety_number(request).await.map(|number| number.digits)
    }

    /// Notes that the safety numbers were compared, or takes it back. Fails with `CONVERSATION_NOT_FOUND`.
    pub async fn set_verified(&self, conversation_id: &str, verified: bool) -> Result<()> {
        let request = SetVerifiedRequest { conversation_id: conversation_id.to_owned(), verified };
        self.inner.chat.set_verified(request).await.map(drop)
    }

    /// Asks the peer for new keys after ours were lost. Once a day at most (`REPAIR_TOO_SOON`).
    pub async fn repair_conversation(&self, conversation_id: &str) -> Result<()> {
        let request = RepairConversationRequest { conversation_id: conversation_id.to_owned() };
        self.inner.chat.repair_conversation(request).await.map(drop)
    }

    /// Agrees to a repair the peer asked for: ask your user first. The verification is taken back. Fails with
    /// `NO_REPAIR_PENDING`.
    pub async fn accept_repair(&self, conversation_id: &str) -> Result<()> {
        let request = AcceptRepairRequest { conversation_id: conversation_id.to_owned() };
        self.inner.chat.accept_repair(request).await.map(drop)
    }

    // Messages.

    /// F2: sends a message. Returns once it is stored and encrypted; events tell how far it gets. Fails with `SESSION_LOST`,
    /// `OUTBOX_FULL` (retryable), `CONTENT_TOO_LARGE`.
    pub async fn send(&self, conversation_id: &str, content: impl Into<Content>) -> Result<Message> {
        let content = Some(checked(content.into())?);
        let request = SendMessageRequest { conversation_id: conversation_id.to_owned(), content };
        let sent = self.inner.chat.send_message(request).await?;
        sent.message.map(Message::from).ok_or_else(|| incomplete("message"))
    }

    /// Gives up a message that is not delivered yet. It may arrive all the same if it is already under way. Fails with
    /// `MESSAGE_NOT_FOUND`.
    pub async fn cancel(&self, conversation_id: &str, message_id: &str) -> Result<()> {
        let request =
            CancelMessageRequest { conversation_id: conversation_id.to_owned(), message_id: message_id.to_owned() };
        self.inner.chat.cancel_message(request).await.map(drop)
    }

    /// Marks everything up to a message of the peer as read, and tells the peer, unless 1,000 messages wait for delivery.
    /// Fails with `CONVERSATION_NOT_FOUND` and `MESSAGE_NOT_FOUND`.
    pub async fn mark_read(&self, conversation_id: &str, message_id: &str) -> Result<()> {
        self.mark_read_and(conversation_id, message_id, true).await
    }

    /// The same without telling the peer.
    pub async fn mark_read_silently(&self, conversation_id: &str, message_id: &str) -> Result<()> {
        self.mark_read_and(conversation_id, message_id, false).await
    }

    async fn mark_read_and(&self, conversation_id: &str, message_id: &str, send_receipt: bool) -> Result<()> {
        // The core knows no messages.
        self.conversation(conversation_id).await?;
        self.message(conversation_id, message_id).await?;
        let request = MarkReadRequest {
            conversation_id: conversation_id.to_owned(),
            message_id: message_id.to_owned(),
            send_receipt,
        };
        self.inner.chat.mark_read(request).await.map(drop)
    }

    /// F6: a page of a conversation, newest first. Fails with `INVALID_ARGUMENT` for a limit out of range.
    pub async fn messages(&self, conversation_id: &str, page: Page) -> Result<Vec<Message>> {
        let request =
            ListMessagesRequest { conversation_id: conversation_id.to_owned(), before: page.before, limit: page.limit };
        let list = move |worker: &mut Worker| {
            let rows = worker.core.storage().list_messages(request)?;
            open_rows(worker, rows)
        };
        self.inner.engine.with(list).await
    }

    /// One message. Fails with `MESSAGE_NOT_FOUND`.
    pub async fn message(&self, conversation_id: &str, message_id: &str) -> Result<Message> {
        let request =
            GetMessageRequest { conversation_id: conversation_id.to_owned(), message_id: message_id.to_owned() };
        let get = move |worker: &mut Worker| {
            let rows = worker.core.storage().get_message(request)?;
            open_rows(worker, rows)
        };
        self.inner.engine.with(get).await?.into_iter().next().ok_or_else(|| {
            let message = format!("message_id: no message {}; page through the conversation", quoted(message_id));
            Error::new(ErrorCode::MessageNotFound, message)
        })
    }

    /// Incoming messages not marked read; reactions do not count.
    pub async fn unread_count(&self, conversation_id: &str) -> Result<u64> {
        let request = CountUnreadRequest { conversation_id: conversation_id.to_owned() };
        self.inner.engine.with(move |worker| Ok(worker.core.storage().count_unread(request)?.unread)).await
    }

    /// S1: how much may still be published in this epoch.
    pub async fn quota(&self) -> Result<Quota> {
        self.inner.chat.get_quota(GetQuotaRequest {}).await.map(Quota::from)
    }

    // Events.

    /// What happens, in order, from the first event the application has not dealt with. An event counts as dealt with when the
    /// stream is polled for the next one. Several streams may be read; each sees every event from its start on. Ends when the
    /// client closes.
    pub fn events(&self) -> Events {
        self.inner.feed.read()
    }

    /// Finishes what is under way (messages on their way to a node for at most three seconds), disconnects and closes the
    /// storage. It goes on if the returned future is dropped. A second call waits for the first and does nothing.
    pub async fn close(&self) -> Result<()> {
        let inner = Arc::clone(&self.inner);
        self.inner.runtime.spawn(async move { inner.close().await }).await.map_err(ended_unexpectedly)?
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        if *self.closed.get_mut() {
            return;
        }
        self.feed.close();
        let releasing = self.release();
        self.runtime.spawn(async move {
            if let Err(error) = releasing.await {
                tracing::warn!("closing: {error}");
            }
        });
    }
}

impl Inner {
    async fn close(&self) -> Result<()> {
        let mut closed = self.closed.lock().await;
        if std::mem::replace(&mut *closed, true) {
            return Ok(());
        }
        self.feed.close();
        self.acknowledger.close();
        self.engine.close().await;
        // Nobody reports it any more.
        self.online.store(false, Ordering::Relaxed);
        self.release().await
    }

    /// Closes what the engine used.
    fn release(&self) -> impl Future<Output = Result<()>> + Send + use<> {
        let transport = Arc::clone(&self.transport);
        let (anchor, membership, storage) = (self.anchor.clone(), self.membership.clone(), Arc::clone(&self.storage));
        async move {
            let stopped = transport.stop().await;
            // They write to the disk, or wait for a proof.
            let closing = tokio::task::spawn_blocking(move || {
                if let Some(anchor) = anchor {
                    anchor.close();
                }
                if let Some(membership) = membership {
                    membership.close();
                }
                storage.close()
            });
            let closed = closing.await.map_err(ended_unexpectedly)?;
            stopped.and(closed)
        }
    }
}

fn ended_unexpectedly(error: tokio::task::JoinError) -> Error {
    Error::new(ErrorCode::Internal, "closing ended unexpectedly; report this").caused_by(error)
}

fn open_rows(worker: &mut Worker, rows: MessageRows) -> Result<Vec<Message>> {
    let messages = rows.rows.into_iter().filter_map(|row| row.message).collect();
    Ok(worker.core.open_messages(messages)?.into_iter().map(Message::from).collect())
}

fn checked(content: Content) -> Result<Content> {
    let empty_text = (content.domain, content.tag) == (Text::DOMAIN, Text::TAG) && content.payload.is_empty();
    if empty_text {
        let message = "content: empty text; give at least one character";
        return Err(Error::new(ErrorCode::InvalidArgument, message));
    }
    Ok(content)
}

fn incomplete(field: &str) -> Error {
    Error::new(ErrorCode::Internal, format!("the core replied without {field}; report this"))
}
