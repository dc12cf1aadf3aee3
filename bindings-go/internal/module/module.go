// Package module embeds the protocol core, compiled from the TypeScript sources by wasm-build/.
package module

import _ "embed"

// Code is the core module; abi/ABI.md says how to talk to it.
//
//go:embed chatsdk.wasm
var Code []byte
