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
// context ends before its change is committed fails with [ErrAborted] and has no effect; one whose context has ended does not begin.
//
// # Errors
//
// Every error is an [*Error]: its code says what to do, its message names the parameter or the field of an option and the remedy, and never holds a
// secret; its cause is to be found by errors.Is and errors.As. Compare with errors.Is(err, chatsdk.ErrOutboxFull).
//
// # Logs
//
// What holds texts, links or keys prints ids and sizes alone, by fmt and by slog: read the fields to show them. As JSON, which loggers use, [Message] and
// [Invite] are their ids, too: a program that sends them on as JSON needs a type of its own. Contents, such as [Text] and [AttachmentReference], are
// encoded whole, since an application's own content types may hold them.
//
// # Rate limits
//
// A network with Rate Limiting Nullifiers (RLN) takes messages with a proof of membership alone. A client with a [Membership] (Options.RLN) keeps to
// its limit, tells of it ([Client.Quota], [QuotaChanged]), and proves each message. This module makes no proofs: chatsdk/waku/rln does, a module of
// its own, because the prover is a Rust library behind cgo; it takes some 0.15 s on two cores for each message.
package chatsdk
