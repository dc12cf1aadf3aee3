package main

import (
	"log/slog"
	"os"
	"path/filepath"
	"testing"

	"chatsdk/internal/module"
	"chatsdk/internal/wasm"
)

func TestS4_MemoryOfAnInstanceDoesNotGrowWithItsMessages(t *testing.T) {
	// A result that is not given back grows it by 1.3 KiB a message.
	const few, many, allowed = 500, 1500, 1 << 20
	compiled, err := wasm.Shared(t.Context(), module.Code, wasm.Options{
		CacheFolder: filepath.Join(os.TempDir(), "chatsdk-test-cache"), Logger: slog.Default(),
	})
	if err != nil {
		t.Fatal(err)
	}
	conversation, err := newConversation(t.Context(), compiled)
	if err != nil {
		t.Fatal(err)
	}
	memoryAfter := func(messages int) uint64 {
		for conversation.messages < messages {
			if err := conversation.exchange(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		return conversation.memoryBytes()
	}
	before, after := memoryAfter(few), memoryAfter(many)
	t.Logf("%d bytes after %d messages, %d after %d", before, few, after, many)
	if after > before+allowed {
		t.Errorf("%d bytes after %d messages, %d after %d: more than %d bytes of growth", before, few, after, many, allowed)
	}
}
