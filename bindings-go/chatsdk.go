// Package chatsdk is private 1:1 chat over Waku: accounts nobody has to grant, invite links, end-to-end encryption with forward secrecy and
// post-compromise security, delivery confirmation, detection of missed messages.
//
// [Open] is the way in; [Client] has the calls and the events:
//
//	client, err := chatsdk.Open(ctx, chatsdk.Options{Path: "alice.db", StorageKey: keys.Passphrase("..."), Peers: peers})
//	account, err := client.DefaultAccount(ctx)
//	invite, err := client.CreateInvite(ctx, account.ID, chatsdk.InviteOptions{})   // invite.Link goes to the other one by any means
//
//	conversation, err := other.AcceptInvite(ctx, account.ID, invite.Link, chatsdk.Text("Hello!"))
//	for event, err := range other.Events(ctx) { ... }
//
// # Parts
//
// The protocol is one WebAssembly module, the same for every language, embedded here and run by wazero. Around it, all replaceable in
// [Options]: the database (package storage/sqlite), its key (package keys), the network (package waku; package waku/relay is another), clock
// and entropy. Nothing needs cgo.
//
// # Concurrency
//
// A client is safe for concurrent use. Calls that change something run one after the other and return once the change is durable. A call whose
// context ends before its change is committed fails with [ErrAborted] and has no effect.
//
// # Errors
//
// Every error is an [*Error]: its code says what to do, its message names the field and the remedy, and never holds a secret. Compare with
// errors.Is(err, chatsdk.ErrOutboxFull).
//
// # Rate limits
//
// A network with Rate Limiting Nullifiers (RLN) takes messages with a proof of membership alone. A client with a [Membership] (Options.RLN) keeps to
// its limit, tells of it ([Client.Quota], [QuotaChanged]), and proves each message. This module makes no proofs: chatsdk/waku/rln does, a module of
// its own, because the prover is a Rust library behind cgo; it takes some 0.15 s on two cores for each message.
package chatsdk
