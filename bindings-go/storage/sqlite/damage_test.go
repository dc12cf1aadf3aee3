package sqlite_test

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"google.golang.org/protobuf/proto"

	"chatsdk/abi"
	"chatsdk/storage/sqlite"
)

const (
	filePage   = 4096
	fileHeader = 100
	// flipEvery: of the bits of the schema one in so many is tried; a prime, so that every place in a byte has its turn.
	flipEvery = 61
)

func TestS2_AFlippedBitInTheSchemaIsRefusedAtOpenOrDoesNoHarm(t *testing.T) {
	folder := t.TempDir()
	path := filepath.Join(folder, "chat.db")
	storage := open(t, path)
	fill(t, storage)
	closeStorage(t, storage)
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	refused, harmless := 0, 0
	for bit := range bitsOfSchema(whole) {
		damaged := bytes.Clone(whole)
		damaged[bit/8] ^= 1 << (bit % 8)
		writeFile(t, path, damaged)
		storage, err := sqlite.Open(path, sqlite.Options{})
		if err == nil {
			harmless++
			expectSound(t, storage)
			closeStorage(t, storage)
		} else {
			refused++
			expectRefused(t, err, path, damaged)
		}
		if t.Failed() {
			t.Fatalf("bit %d of byte %d, in %q", bit%8, bit/8, around(whole, bit/8))
		}
	}
	// The rest is unused space, and numbers that nobody compares.
	if refused < 5*harmless {
		t.Errorf("%d refused, %d harmless: this looks at something else than the schema", refused, harmless)
	}
}

// bitsOfSchema are the bits of the pages that hold sqlite_schema, without the file's header.
func bitsOfSchema(file []byte) func(yield func(bit int) bool) {
	return func(yield func(bit int) bool) {
		for page := 0; page < len(file); page += filePage {
			if page > 0 && !bytes.Contains(file[page:page+filePage], []byte("CREATE ")) {
				continue
			}
			first := page
			if page == 0 {
				first = fileHeader
			}
			for bit := first * 8; bit < (page+filePage)*8; bit += flipEvery {
				if !yield(bit) {
					return
				}
			}
		}
	}
}

func around(file []byte, at int) []byte {
	return file[max(0, at-20):min(len(file), at+20)]
}

var written = &abi.Message{
	MessageId: "m1", ConversationId: "c1", Sequence: 1, Lamport: 1, TimestampMs: 1, StoredMs: 2, Tag: 1, Version: 1, Payload: []byte{1},
	Text: proto.String("creme brulee"),
}

func fill(t *testing.T, storage *sqlite.Storage) {
	t.Helper()
	if err := storage.PutHeader(t.Context(), &abi.VaultHeader{}); err != nil {
		t.Fatal(err)
	}
	commit(t, storage, put("conv/c1", []byte("sealed")),
		&abi.Change{Change: &abi.Change_AddTags{AddTags: &abi.TagChange{Key: "conv/c1", Tags: []byte("12345678")}}},
		&abi.Change{Change: &abi.Change_PutMessage{PutMessage: written}},
		&abi.Change{Change: &abi.Change_PutConversation{PutConversation: &abi.Conversation{ConversationId: "c1", AccountId: "a1"}}})
}

// expectSound uses every table.
func expectSound(t *testing.T, storage *sqlite.Storage) {
	t.Helper()
	if got := get(t, storage, "conv/c1"); got != "sealed" {
		t.Errorf("record %q", got)
	}
	hits, err := storage.SearchMessages(t.Context(), &abi.SearchMessagesRequest{Query: "creme", Limit: 10})
	if err != nil || len(hits.GetRows()) != 1 || !proto.Equal(hits.GetRows()[0].GetMessage(), written) {
		t.Errorf("search: %v, %v", hits, err)
	}
	if _, err := storage.CountUnread(t.Context(), &abi.CountUnreadRequest{ConversationId: "c1"}); err != nil {
		t.Error(err)
	}
	fill(t, storage)
	commit(t, storage, &abi.Change{Change: &abi.Change_Delete{Delete: "conv/c1"}},
		&abi.Change{Change: &abi.Change_DeleteConversation{DeleteConversation: "c1"}})
	found, err := storage.Read(t.Context(), &abi.Read{Read: &abi.Read_FindTag{FindTag: []byte("12345678")}})
	if err != nil || len(found.GetRecords()) != 0 {
		t.Errorf("tag: %v, %v", found, err)
	}
}

func expectRefused(t *testing.T, err error, path string, damaged []byte) {
	t.Helper()
	var failure *abi.Error
	if !errors.As(err, &failure) || failure.Code != abi.ErrorCode_DATABASE_CORRUPT {
		t.Errorf("got %v (%v), want %v", err, errors.Unwrap(err), abi.ErrorCode_DATABASE_CORRUPT)
	}
	left, err := os.ReadFile(path)
	if err != nil || !bytes.Equal(left, damaged) {
		t.Errorf("the file was changed (%v)", err)
	}
	if names := list(t, filepath.Dir(path)); len(names) != 1 {
		t.Errorf("left beside the file: %v", names)
	}
}

func TestS2_AHeaderThatForbidsWritingIsDamage(t *testing.T) {
	path := filepath.Join(t.TempDir(), "chat.db")
	storage := open(t, path)
	fill(t, storage)
	closeStorage(t, storage)
	damaged, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	// The format's version for writing: one that SQLite does not know.
	damaged[18] = 3
	writeFile(t, path, damaged)
	_, err = sqlite.Open(path, sqlite.Options{})
	expectRefused(t, err, path, damaged)
}
