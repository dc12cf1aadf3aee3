// Package rln makes and checks RLN version 2 proofs for a static membership group (17/WAKU2-RLN-RELAY): the group's file, a
// member's credentials, the layout of a proof in a Waku message, a [Prover] for clients and [Tree] for a node that verifies.
//
// The circuit is Rust, in this folder, linked through cgo with the build tag rln; without the tag or without cgo, [NewTree] and
// [NewProver] fail with [ErrUnavailable] and everything else works. Build the library first: cargo build --release --locked.
//
// What a proof is about follows nwaku, so that its numbers are the same: see message.go.
package rln
