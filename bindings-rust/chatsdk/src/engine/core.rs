//! The core over one database: an instance of the module, made anew after a trap.

use std::sync::Arc;

use zeroize::{Zeroize as _, Zeroizing};

use super::parts::parts;
use super::settings::{Settings, forget_credentials};
use crate::abi::Storage;
use crate::abi::{
    CONTRACT_HASH, CONTRACT_VERSION, ChangeBatch, CommitFailedRequest, Conversation, ConversationBatch,
    CoreModule as _, CoreModuleClient, CreateVaultRequest, DescribeRequest, Input, KeyDerivation, MalformedResult,
    Message, MessageBatch, OpenCoreRequest, RekeyVaultRequest, StepResult, VaultHeader,
};
use crate::error::{Error, ErrorCode, Result};
use crate::keys::HostKey;
use crate::module::{CompiledModule, Instance, Limits, Reads};

/// What a core is made of.
pub(crate) struct CoreParts {
    pub(crate) module: Arc<CompiledModule>,
    pub(crate) limits: Limits,
    pub(crate) storage: Arc<dyn Storage>,
    pub(crate) settings: Settings,
    pub(crate) header: VaultHeader,
    pub(crate) host_key: HostKey,
}

/// A core whose instance is dropped at a trap, and made anew over the same storage.
pub(crate) struct Core {
    parts: CoreParts,
    reads: Reads,
    /// `None` after a trap.
    instance: Option<Instance>,
    generation: u64,
    seals_messages: bool,
    restarts: u64,
}

impl Core {
    /// Also gives the credentials of the rate limit, which are empty if there are none. Fails with `WRONG_KEY`,
    /// `UNSUPPORTED_VERSION`, `INVALID_ARGUMENT`, `DATABASE_CORRUPT`.
    pub(crate) fn open(parts: CoreParts) -> Result<(Self, Zeroizing<Vec<u8>>)> {
        let storage = Arc::clone(&parts.storage);
        let reads: Reads = Arc::new(move |read| storage.read(read.clone()));
        let mut core = Self { parts, reads, instance: None, generation: 0, seals_messages: false, restarts: 0 };
        let credentials = core.renew()?;
        Ok((core, credentials))
    }

    /// The header of a new database.
    pub(crate) fn create_vault(
        module: &Arc<CompiledModule>,
        limits: Limits,
        derivation: KeyDerivation,
        host_key: &HostKey,
        entropy: Vec<u8>,
    ) -> Result<VaultHeader> {
        let mut request = CreateVaultRequest { derivation: Some(derivation), host_key: host_key.to_vec(), entropy };
        let header = described(module, limits, nothing_to_read())
            .and_then(|mut instance| CoreModuleClient::new(&mut instance).create_vault(&request));
        request.host_key.zeroize();
        request.entropy.zeroize();
        header
    }

    pub(crate) fn storage(&self) -> &Arc<dyn Storage> {
        &self.parts.storage
    }

    pub(crate) fn database_id(&self) -> &str {
        &self.parts.header.database_id
    }

    /// Commits of the database so far.
    pub(crate) fn generation(&self) -> u64 {
        self.generation
    }

    /// Searching means opening messages.
    pub(crate) fn seals_messages(&self) -> bool {
        self.seals_messages
    }

    /// How often an instance had to be made anew.
    pub(crate) fn restarts(&self) -> u64 {
        self.restarts
    }

    /// Of the instance; 0 if there is none.
    pub(crate) fn memory_bytes(&self) -> usize {
        self.instance.as_ref().map_or(0, Instance::memory_bytes)
    }

    /// A trap took the instance: `reopen` before the next step.
    pub(crate) fn is_broken(&self) -> bool {
        self.instance.is_none()
    }

    /// A new instance over the storage. Its first input is to be `Start`.
    pub(crate) fn reopen(&mut self) -> Result<()> {
        self.renew().map(drop)
    }

    /// Once the first step is durable, the database has them.
    pub(crate) fn forget_credentials(&mut self) {
        self.parts.settings.forget_credentials();
    }

    fn renew(&mut self) -> Result<Zeroizing<Vec<u8>>> {
        let mut request = OpenCoreRequest {
            config: Some(self.parts.settings.config().clone()),
            header: Some(self.parts.header.clone()),
            host_key: self.parts.host_key.to_vec(),
        };
        let opened = described(&self.parts.module, self.parts.limits, Arc::clone(&self.reads))
            .and_then(|mut instance| Ok((CoreModuleClient::new(&mut instance).open_core(&request)?, instance)));
        request.host_key.zeroize();
        request.config.as_mut().map(forget_credentials);
        let (opened, instance) = opened?;
        self.instance = Some(instance);
        self.generation = opened.generation;
        self.seals_messages = opened.seals_messages;
        Ok(Zeroizing::new(opened.rate_limit_credentials))
    }

    /// One step and its commit. After a failure nothing of it is there.
    pub(crate) fn step(&mut self, input: &Input) -> Result<StepResult> {
        let mut result = match self.call(|core| core.step(input)) {
            Ok(result) => result,
            Err(error) => {
                self.commit_failed();
                return Err(error);
            }
        };
        let changes = result.outcome.as_mut().map(|outcome| std::mem::take(&mut outcome.changes)).unwrap_or_default();
        if !changes.is_empty() {
            if let Err(error) = self.parts.storage.commit(ChangeBatch { changes }) {
                self.commit_failed();
                return Err(error);
            }
            self.generation = result.generation;
        }
        Ok(result)
    }

    /// Rows of the message store as the application sees them.
    pub(crate) fn open_messages(&mut self, messages: Vec<Message>) -> Result<Vec<Message>> {
        if !self.seals_messages {
            return Ok(messages);
        }
        let mut opened = Vec::with_capacity(messages.len());
        for messages in parts(messages, usize::MAX, |message| message.payload.len()) {
            opened.extend(self.call(|core| core.open_messages(&MessageBatch { messages }))?.messages);
        }
        Ok(opened)
    }

    /// The same for conversations.
    pub(crate) fn open_conversations(&mut self, conversations: Vec<Conversation>) -> Result<Vec<Conversation>> {
        if !self.seals_messages || conversations.is_empty() {
            return Ok(conversations);
        }
        Ok(self.call(|core| core.open_conversations(&ConversationBatch { conversations }))?.conversations)
    }

    /// The same database under another host key. Fails with `WRONG_KEY`, and with what the storage says.
    pub(crate) fn rekey(
        &mut self,
        old_host_key: &HostKey,
        derivation: KeyDerivation,
        new_host_key: HostKey,
        entropy: Vec<u8>,
    ) -> Result<()> {
        let mut request = RekeyVaultRequest {
            header: Some(self.parts.header.clone()),
            old_host_key: old_host_key.to_vec(),
            derivation: Some(derivation),
            new_host_key: new_host_key.to_vec(),
            entropy,
        };
        let header = self.call(|core| core.rekey_vault(&request));
        request.old_host_key.zeroize();
        request.new_host_key.zeroize();
        request.entropy.zeroize();
        let header = header?;
        self.parts.storage.put_header(header.clone())?;
        self.parts.header = header;
        self.parts.host_key = new_host_key;
        Ok(())
    }

    /// In its settings.
    #[cfg(test)]
    pub(crate) fn holds_credentials(&self) -> bool {
        self.parts.settings.config().rate_limit.as_ref().is_some_and(|limit| !limit.credentials.is_empty())
    }

    /// Has the module trap, as a defect would.
    #[cfg(test)]
    pub(crate) fn trap(&mut self) {
        if let Some(instance) = &mut self.instance {
            instance.trap();
        }
        assert!(self.call(|core| core.describe(&DescribeRequest {})).is_err());
        assert!(self.is_broken());
    }

    fn commit_failed(&mut self) {
        if self.instance.is_some()
            && let Err(error) = self.call(|core| core.commit_failed(&CommitFailedRequest {}))
        {
            tracing::warn!("commit failed: {error}");
            // What it holds may differ from the storage.
            self.discard();
        }
    }

    fn call<Response>(
        &mut self,
        call: impl FnOnce(&mut CoreModuleClient<&mut Instance>) -> Result<Response>,
    ) -> Result<Response> {
        let Some(instance) = &mut self.instance else {
            let message = "the core ended unexpectedly and cannot be made anew yet; try again";
            return Err(Error::new(ErrorCode::Internal, message).retryable());
        };
        let result = call(&mut CoreModuleClient::new(&mut *instance));
        let malformed = result.as_ref().is_err_and(MalformedResult::is_source_of);
        if malformed || instance.is_broken() {
            if let Err(error) = &result {
                tracing::warn!("{error}");
            }
            self.discard();
        }
        result
    }

    /// Drops the instance, as a trap does.
    pub(crate) fn discard(&mut self) {
        self.restarts += 1;
        self.instance = None;
    }
}

/// A new instance of the contract this host was made for. Fails with `UNSUPPORTED_VERSION` for another.
fn described(module: &Arc<CompiledModule>, limits: Limits, reads: Reads) -> Result<Instance> {
    let mut instance = Instance::new(module, limits, reads)?;
    let description = CoreModuleClient::new(&mut instance).describe(&DescribeRequest {})?;
    if description.contract_hash != CONTRACT_HASH {
        let message = format!(
            "module: its contract is {:?} (version {}), this host's {CONTRACT_HASH} (version {CONTRACT_VERSION}); use a module and a host of the same release",
            description.contract_hash, description.contract_version,
        );
        return Err(Error::new(ErrorCode::UnsupportedVersion, message));
    }
    Ok(instance)
}

fn nothing_to_read() -> Reads {
    Arc::new(|_| Err(Error::new(ErrorCode::Internal, "the module reads before it is opened; report this")))
}
