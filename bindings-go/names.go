package chatsdk

import (
	"strings"

	"chatsdk/abi"
)

// What is wrong is told by the name the caller wrote: a parameter or a field of this package, where the core and the parts have names of their own.

// callNames are those of calls.
var callNames = map[string]string{
	"account_id": "accountID", "conversation_id": "conversationID", "message_id": "messageID", "invite_id": "inviteID",
	"valid_for_ms": "ValidFor", "content.payload": "content",
}

// named is the failure of a call of the core.
func named(err error) error {
	return renamed(err, func(field string) string {
		if name, found := callNames[field]; found {
			return name
		}
		return field
	})
}

// namedKey is the failure of a key that is not the option StorageKey.
func namedKey(err error, name string) error {
	return renamed(err, func(field string) string {
		if field == "StorageKey" || field == "key" {
			return name
		}
		return field
	})
}

// namedOption is the failure of opening with options.
func namedOption(err error, options Options) error {
	return renamed(err, func(field string) string {
		settings, isSetting := strings.CutPrefix(field, "config.")
		switch {
		case field == "key":
			return "StorageKey"
		case field == "seen_generation":
			return "Anchor"
		case field == "path" || strings.HasPrefix(field, "path "):
			return "Path" + field[len("path"):]
		case settings == "cluster_id":
			return "ClusterID"
		case isSetting && options.RLN != nil && strings.HasPrefix(settings, "rate_limit."):
			return "RLN." + exported(strings.TrimPrefix(settings, "rate_limit."))
		case settings == "shard_count":
			return "ShardCount"
		case isSetting:
			return "Protocol." + exported(settings)
		}
		return field
	})
}

// exported gives the names that fields of the contract have in Go.
func exported(fields string) string {
	var name strings.Builder
	start := true
	for _, letter := range fields {
		switch {
		case letter == '_':
			start = true
			continue
		case start:
			name.WriteString(strings.ToUpper(string(letter)))
		default:
			name.WriteRune(letter)
		}
		start = letter == '.' || letter == ' '
	}
	return name.String()
}

// renamed is the same error, but for what its message names first.
func renamed(err error, rename func(field string) string) error {
	failure, typed := err.(*abi.Error)
	if !typed {
		return err
	}
	field, rest, found := strings.Cut(failure.Message, ": ")
	if !found {
		return err
	}
	copied := *failure
	copied.Message = rename(field) + ": " + rest
	return &copied
}
