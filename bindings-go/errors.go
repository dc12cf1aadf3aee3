package chatsdk

import "chatsdk/abi"

// Error is a failed call. It has changed nothing, unless the description of its code says otherwise.
type Error = abi.Error

// ErrorCode is why a call failed; the same names in every language.
type ErrorCode = abi.ErrorCode

// What errors.Is compares an error with; package abi describes each and names its remedy.
var (
	ErrInvalidArgument       = abi.ErrInvalidArgument
	ErrInvalidInvite         = abi.ErrInvalidInvite
	ErrInviteExpired         = abi.ErrInviteExpired
	ErrInviteWrongNetwork    = abi.ErrInviteWrongNetwork
	ErrInviteAlreadyAccepted = abi.ErrInviteAlreadyAccepted
	ErrInviteOwn             = abi.ErrInviteOwn
	ErrUnsupportedSuite      = abi.ErrUnsupportedSuite
	ErrAccountNotFound       = abi.ErrAccountNotFound
	ErrConversationNotFound  = abi.ErrConversationNotFound
	ErrMessageNotFound       = abi.ErrMessageNotFound
	ErrInviteNotFound        = abi.ErrInviteNotFound
	ErrContentTooLarge       = abi.ErrContentTooLarge
	ErrOutboxFull            = abi.ErrOutboxFull
	ErrSessionLost           = abi.ErrSessionLost
	ErrRepairTooSoon         = abi.ErrRepairTooSoon
	ErrNoRepairPending       = abi.ErrNoRepairPending
	ErrWrongKey              = abi.ErrWrongKey
	ErrDatabaseCorrupt       = abi.ErrDatabaseCorrupt
	ErrDatabaseLocked        = abi.ErrDatabaseLocked
	ErrStorageFull           = abi.ErrStorageFull
	ErrStorageFailed         = abi.ErrStorageFailed
	ErrStateRolledBack       = abi.ErrStateRolledBack
	ErrUnsupportedVersion    = abi.ErrUnsupportedVersion
	ErrClosed                = abi.ErrClosed
	ErrAborted               = abi.ErrAborted
	ErrTransportFailed       = abi.ErrTransportFailed
	ErrKeyringUnavailable    = abi.ErrKeyringUnavailable
	ErrInternal              = abi.ErrInternal
)

// Must returns the value, or panics if there is an error: for programs that cannot go on without it.
func Must[T any](value T, err error) T {
	if err != nil {
		panic(err)
	}
	return value
}
