//! The methods of the client.

use std::time::Duration;

use chatsdk::{Client, InviteOptions, Message, Page, Position};
use serde_json::{Value, json};

use crate::failure::{Failure, Outcome, beginning};
use crate::options::storage_key;
use crate::parameters::Parameters;
use crate::{OwnTypes, content, in_terms_of_json, shapes};

/// Of the parameters of a method; `None` if there is no such method.
fn names_of(method: &str) -> Option<&'static [&'static str]> {
    Some(match method {
        "defaultAccount" | "createAccount" | "accounts" | "quota" | "stats" => &[],
        "deleteAccount" | "invites" | "conversations" => &["accountId"],
        "createInvite" => &["accountId", "validForMs", "reusable"],
        "revokeInvite" => &["inviteId"],
        "inspectInvite" => &["link"],
        "acceptInvite" => &["accountId", "link", "content"],
        "conversation" | "deleteConversation" | "safetyNumber" | "repairConversation" | "acceptRepair"
        | "unreadCount" => &["conversationId"],
        "setVerified" => &["conversationId", "verified"],
        "send" => &["conversationId", "content"],
        "cancel" | "message" => &["conversationId", "messageId"],
        "markRead" => &["conversationId", "messageId", "sendReceipt"],
        "messages" => &["conversationId", "before", "limit"],
        "search" => &["query", "conversationId", "before", "limit"],
        "changeStorageKey" => &["oldKey", "newKey"],
        _ => return None,
    })
}

/// Refuses parameters that a method does not have, such as misspelt ones, and methods that there are not.
pub fn refuse_unknown_parameters(method: &str, params: &Parameters) -> Outcome<()> {
    params.refuse_others(names_of(method).ok_or_else(|| no_such(method))?)
}

fn no_such(method: &str) -> Failure {
    Failure::request(format!("{}: no such method", beginning(method)))
}

/// Calls a method of the client by its name. `own` reads contents of the application's types.
pub async fn call(client: &Client, method: &str, params: &Parameters, own: OwnTypes) -> Outcome {
    served(client, method, params, own).await.map_err(|failure| match failure {
        Failure::Sdk(error) => in_terms_of_json(error).into(),
        wrong => wrong,
    })
}

async fn served(client: &Client, method: &str, params: &Parameters, own: OwnTypes) -> Outcome {
    let message = |message: &Message| shapes::message(message, own);
    let conversation_id = || params.text("conversationId");
    let account_id = || params.text("accountId");
    Ok(match method {
        "defaultAccount" => shapes::account(&client.default_account().await?),
        "createAccount" => shapes::account(&client.create_account().await?),
        "accounts" => client.accounts().await?.iter().map(shapes::account).collect(),
        "deleteAccount" => client.delete_account(account_id()?).await?.into(),
        "createInvite" => {
            let options = InviteOptions {
                valid_for: params.number("validForMs")?.map(Duration::from_millis),
                reusable: params.flag("reusable")?.unwrap_or(false),
            };
            shapes::invite(&client.create_invite(account_id()?, options).await?)
        }
        "invites" => client.invites(account_id()?).await?.iter().map(shapes::invite).collect(),
        "revokeInvite" => client.revoke_invite(params.text("inviteId")?).await?.into(),
        "inspectInvite" => shapes::invite_details(&client.inspect_invite(params.text("link")?).await?),
        "acceptInvite" => {
            let first = content::to_send(params)?;
            shapes::conversation(&client.accept_invite(account_id()?, params.text("link")?, first).await?)
        }
        "conversations" => {
            let found = match params.optional_text("accountId")? {
                Some(account_id) => client.conversations_of(account_id).await?,
                None => client.conversations().await?,
            };
            found.iter().map(shapes::conversation).collect()
        }
        "conversation" => shapes::conversation(&client.conversation(conversation_id()?).await?),
        "deleteConversation" => client.delete_conversation(conversation_id()?).await?.into(),
        "safetyNumber" => client.safety_number(conversation_id()?).await?.into(),
        "setVerified" => {
            let verified = params.flag("verified")?.ok_or_else(|| params.wrong("verified", "missing"))?;
            client.set_verified(conversation_id()?, verified).await?.into()
        }
        "repairConversation" => client.repair_conversation(conversation_id()?).await?.into(),
        "acceptRepair" => client.accept_repair(conversation_id()?).await?.into(),
        "send" => message(&client.send(conversation_id()?, content::to_send(params)?).await?),
        "cancel" => client.cancel(conversation_id()?, params.text("messageId")?).await?.into(),
        "markRead" => {
            let (conversation, message) = (conversation_id()?, params.text("messageId")?);
            match params.flag("sendReceipt")?.unwrap_or(true) {
                true => client.mark_read(conversation, message).await?.into(),
                false => client.mark_read_silently(conversation, message).await?.into(),
            }
        }
        "messages" => client.messages(conversation_id()?, page(params)?).await?.iter().map(message).collect(),
        "message" => message(&client.message(conversation_id()?, params.text("messageId")?).await?),
        "unreadCount" => client.unread_count(conversation_id()?).await?.into(),
        "search" => {
            let (query, page) = (params.text("query")?, page(params)?);
            let found = match params.optional_text("conversationId")? {
                Some(conversation) => client.search_in(conversation, query, page).await?,
                None => client.search(query, page).await?,
            };
            found.iter().map(message).collect()
        }
        "changeStorageKey" => {
            client.change_storage_key(storage_key(params, "oldKey")?, storage_key(params, "newKey")?).await?.into()
        }
        "quota" => {
            let quota = client.quota().await?;
            if quota.limited { shapes::quota(&quota) } else { Value::Null }
        }
        "stats" => {
            let stats = client.stats().await?;
            json!({ "online": stats.online, "moduleBytes": stats.module_bytes, "restarts": stats.restarts })
        }
        _ => return Err(no_such(method)),
    })
}

fn page(params: &Parameters) -> Outcome<Page> {
    let before = match params.get("before") {
        None => None,
        Some(_) => {
            let before = params.object("before")?;
            before.refuse_others(&["id", "lamport"])?;
            Some(Position { lamport: before.decimal("lamport")?, message_id: before.text("id")?.into() })
        }
    };
    Ok(Page { before, limit: params.small_number("limit")?.unwrap_or(50) })
}

#[cfg(test)]
mod tests {
    use super::*;

    const PROTOCOL: &str = include_str!("../../../conformance/agent/PROTOCOL.md");

    /// Name and parameters of each method in the protocol's table.
    fn described() -> Vec<(&'static str, Vec<&'static str>)> {
        let table = PROTOCOL.split_once("## Methods of the client").expect("the table").1;
        let table = table.split_once("**`open`**").expect("its end").0;
        let is_name = |text: &&str| text.chars().all(|letter| letter.is_ascii_alphabetic());
        let names = |cell: &'static str| {
            let quoted = cell.split('`').skip(1).step_by(2);
            quoted.map(|name| name.trim_end_matches('?')).filter(is_name).collect::<Vec<_>>()
        };
        let rows = table.lines().map(|line| line.split('|').skip(1).map(names).collect::<Vec<_>>());
        rows.filter_map(|row| match row.as_slice() {
            [method, params, ..] => Some((*method.first()?, params.clone())),
            _ => None,
        })
        .filter(|(method, _)| !["open", "close"].contains(method))
        .collect()
    }

    #[test]
    fn s4_the_parameters_of_each_method_are_those_of_the_protocol() {
        let described = described();
        assert!(described.len() > 20, "{described:?}");
        for (method, params) in described {
            assert_eq!(names_of(method), Some(params.as_slice()), "{method}");
        }
    }
}
