//! The component in wasmtime: every result of the boundary, and a conversation.

use crate::person::{Person, Storage, component, published, text};
use chatsdk::abi::{
    AcceptInviteRequest, CONTRACT_HASH, CONTRACT_VERSION, CoreModule as _, CoreModuleClient, CreateAccountRequest,
    CreateInviteRequest, DescribeRequest, EnvelopeReceived, Input, ModuleCaller as _, Outcome, SendMessageRequest,
    input, reply,
};
use chatsdk::{Error, ErrorCode};
use chatsdk_component::{Component, Limits, serve};
use std::sync::{Arc, Mutex};
use std::time::Duration;

fn reply(outcome: &Outcome) -> reply::Reply {
    outcome.reply.clone().unwrap().reply.unwrap()
}

#[test]
fn s3_the_component_is_of_this_contract() {
    let Some(component) = component() else { return };
    let instance = component.instantiate(Limits::default(), serve(Storage::default())).unwrap();
    let description = CoreModuleClient::new(instance).describe(&DescribeRequest {}).unwrap();
    assert_eq!((description.contract_version, description.contract_hash.as_str()), (CONTRACT_VERSION, CONTRACT_HASH));
}

#[test]
fn f4_two_instances_have_a_conversation() {
    let Some(component) = component() else { return };
    let (mut alice, mut bob) = (Person::new(component, 1), Person::new(component, 2));
    let account = |person: &mut Person| match reply(&person.step(input::Input::CreateAccount(CreateAccountRequest {})))
    {
        reply::Reply::Account(account) => account.account_id,
        other => panic!("{other:?}"),
    };
    let (account_id, of_bob) = (account(&mut alice), account(&mut bob));
    let invite = CreateInviteRequest { account_id: of_bob, ..CreateInviteRequest::default() };
    let reply::Reply::Invite(invite) = reply(&bob.step(input::Input::CreateInvite(invite))) else {
        panic!("no invite")
    };
    let first = text("Grüße, Bob 👋");
    let accept = AcceptInviteRequest { account_id, link: invite.link, content: Some(first) };
    let accepted = alice.step(input::Input::AcceptInvite(accept));
    let reply::Reply::SentMessage(sent) = reply(&accepted) else { panic!("nothing sent") };
    let conversation_id = sent.conversation.unwrap().conversation_id;
    let deliver = |to: &mut Person, outcome: &Outcome| {
        for payload in published(outcome) {
            to.step(input::Input::EnvelopeReceived(EnvelopeReceived { topic: String::new(), payload }));
        }
    };
    let say = |from: &mut Person, words: &str| {
        let message = SendMessageRequest { conversation_id: conversation_id.clone(), content: Some(text(words)) };
        from.step(input::Input::SendMessage(message))
    };
    deliver(&mut bob, &accepted);
    let hello = say(&mut bob, "hello Alice");
    deliver(&mut alice, &hello);
    let long = say(&mut alice, &"x".repeat(50_000));
    deliver(&mut bob, &long);
    assert_eq!(alice.texts, ["hello Alice"]);
    assert_eq!(bob.texts, ["Grüße, Bob 👋".to_owned(), "x".repeat(50_000)]);
}

#[test]
fn s1_a_wrong_key_arrives_as_the_error_case_and_opens_nothing() {
    let Some(component) = component() else { return };
    let person = Person::new(component, 1);
    let instance = component.instantiate(Limits::default(), serve(person.storage.clone())).unwrap();
    let mut client = CoreModuleClient::new(instance);
    let mut request = person.opening();
    request.host_key = vec![9; 32];
    assert_eq!(client.open_core(&request).unwrap_err().code(), ErrorCode::WrongKey);
    let early =
        client.step(&Input { now_ms: 1, entropy: vec![0; 32], input: Some(input::Input::Start(Default::default())) });
    assert_eq!(early.unwrap_err().code(), ErrorCode::InvalidArgument);
    assert!(client.open_core(&person.opening()).unwrap().seals_messages);
}

#[test]
fn s4_a_malformed_request_fails_typed_and_the_instance_lives() {
    let Some(component) = component() else { return };
    let mut instance = component.instantiate(Limits::default(), serve(Storage::default())).unwrap();
    let garbage: [&[u8]; 4] = [&[0xff; 40], &[0x0a, 0x7f], b"no message", &[0x08]];
    for method in [0, 2, 3, 4, 5, 6, 7, 8, 9, 77, u32::MAX] {
        for request in garbage {
            let failed = instance.call_module(method, request).unwrap_err();
            assert_eq!(failed.code(), ErrorCode::InvalidArgument, "{method} {request:?}: {failed}");
        }
    }
    assert!(!instance.is_broken());
    assert!(CoreModuleClient::new(instance).describe(&DescribeRequest {}).is_ok());
}

#[test]
fn s4_every_error_of_the_host_passes_through_the_core_with_all_that_it_says() {
    let Some(component) = component() else { return };
    let person = Person::new(component, 1);
    let failure = Arc::new(Mutex::new((ErrorCode::Internal, String::new(), false)));
    let shared = Arc::clone(&failure);
    let host_call = move |_: u32, _: &[u8]| {
        let (code, message, retryable) = shared.lock().unwrap().clone();
        let error = Error::new(code, message);
        Err(if retryable { error.retryable() } else { error })
    };
    let mut client = CoreModuleClient::new(component.instantiate(Limits::default(), host_call).unwrap());
    let codes: Vec<_> = (1..).map_while(|number| ErrorCode::try_from(number).ok()).collect();
    assert_eq!(codes.len(), 28);
    for code in codes {
        for message in [String::new(), "größer 👋".into(), "y".repeat(127), "z".repeat(300)] {
            for retryable in [false, true] {
                *failure.lock().unwrap() = (code, message.clone(), retryable);
                let error = client.open_core(&person.opening()).unwrap_err();
                assert_eq!((error.code(), error.message(), error.is_retryable()), (code, message.as_str(), retryable));
            }
        }
    }
}

#[test]
fn s4_limits_are_kept_and_a_broken_instance_says_so() {
    let Some(component) = component() else { return };
    let none = Limits { memory_bytes: 0, ..Limits::default() };
    let refused = component.instantiate(none, serve(Storage::default())).err().unwrap();
    assert_eq!(refused.code(), ErrorCode::Internal, "{refused}");
    let limits = Limits { call_time: Duration::ZERO, ..Limits::default() };
    // Instantiating is a call too, and may be the one that is under way when the time is looked at.
    let mut instance = loop {
        match component.instantiate(limits, serve(Storage::default())) {
            Ok(instance) => break instance,
            Err(late) => assert!(late.message().contains("out of time"), "{late}"),
        }
    };
    let late = std::iter::repeat_with(|| instance.call_module(1, &[])).find_map(Result::err).unwrap();
    assert!(late.message().contains("out of time"), "{late}");
    assert!(instance.is_broken());
    assert!(instance.call_module(1, &[]).unwrap_err().message().contains("earlier call"));
}

#[test]
fn s4_what_is_no_component_of_this_world_is_refused() {
    for bytes in [&b"\0asm"[..], b"\0asm\x01\0\0\0", b"\0asm\x0d\0\x01\0"] {
        assert_eq!(Component::compile(bytes).err().map(|error| error.code()), Some(ErrorCode::Internal));
    }
}
