// Package abi is the contract between applications, hosts and the core module, as abi/ in the repository generates it: messages, errors,
// clients of the core and of its module, and the interfaces that a host implements.
//
// Messages print without their secrets, with fmt and slog; their String methods do not hide them.
package abi
