// Package sqlite is the default storage of the SDK (F6, F7): secrets and messages of one client in one SQLite file, the same in every
// language of the SDK. docs/database.md in the repository is the contract; any SQLite tool can look into a file that no client has open.
//
// It needs no cgo. One client at a time may have a file open, of any language: a second one fails with [abi.ErrDatabaseLocked].
package sqlite

import (
	"context"

	"github.com/ncruces/go-sqlite3"
	"google.golang.org/protobuf/proto"

	"chatsdk/abi"
	"chatsdk/internal/changes"
	"chatsdk/internal/fault"
)

// Options of [Open].
type Options struct {
	// Create makes the database if there is no file. Otherwise a missing file is an error.
	Create bool
	// MaximumBytes is how far the file may grow, rounded down to pages of 4,096; a commit beyond it is STORAGE_FULL. 0: no limit.
	MaximumBytes int64
}

// Storage is an open database. A commit returns once it is on the disk. It is safe for concurrent use.
type Storage struct {
	connection *connection
	secrets    secrets
	messages   messages
}

var _ abi.Storage = (*Storage)(nil)

// Open opens the database at path, on a local disk. It fails with
//
//   - INVALID_ARGUMENT: no such file (and Create is not set), no such folder, or not a file;
//   - DATABASE_CORRUPT: empty, truncated, damaged, or not a database of this SDK. The file is left byte for byte as it is;
//   - DATABASE_LOCKED (retryable): open in another process, or a second time in this one;
//   - UNSUPPORTED_VERSION: written by a newer SDK;
//   - STORAGE_FULL (retryable): no space for a new database;
//   - STORAGE_FAILED: the file or its folder is read-only, or the disk fails.
func Open(path string, options Options) (*Storage, error) {
	database, subject, err := openFile(path, options)
	if err != nil {
		return nil, err
	}
	connection := newConnection(database, subject)
	storage := &Storage{connection: connection, secrets: secrets{connection}, messages: messages{connection}}
	if options.Create {
		return storage, nil
	}
	err = connection.use(func() error { return refuseUnfinished(connection) })
	if err != nil {
		// The failure that matters is known.
		_ = connection.close()
		return nil, err
	}
	return storage, nil
}

// refuseUnfinished fails for a database that was made, but not given a header nor anything else: a crash came between. Nothing can be
// lost by finishing it.
func refuseUnfinished(connection *connection) error {
	used := false
	err := connection.query(
		"SELECT EXISTS (SELECT 1 FROM meta) OR EXISTS (SELECT 1 FROM records) OR EXISTS (SELECT 1 FROM conversations) OR EXISTS (SELECT 1 FROM messages)",
		func(row *sqlite3.Stmt) error {
			used = row.ColumnBool(0)
			return nil
		})
	if err == nil && !used {
		return corruptUnless(connection.subject, "holds nothing, making it was interrupted", "open it with Create", nil)
	}
	return err
}

// GetHeader returns what was given to PutHeader, if anything.
func (s *Storage) GetHeader(context.Context) (*abi.StoredHeader, error) {
	stored := &abi.StoredHeader{}
	err := s.connection.use(func() error {
		return s.connection.query("SELECT value FROM meta WHERE name = ?", func(row *sqlite3.Stmt) error {
			stored.Header = &abi.VaultHeader{}
			if err := proto.Unmarshal(row.ColumnBlob(0, nil), stored.Header); err != nil {
				return corrupt(s.connection.subject, "has an unreadable header", err)
			}
			return nil
		}, vaultHeader)
	})
	if err != nil {
		return nil, err
	}
	return stored, nil
}

// PutHeader writes the header of a new database, or replaces it when its key is changed.
func (s *Storage) PutHeader(_ context.Context, header *abi.VaultHeader) error {
	encoded, err := proto.Marshal(header)
	if err != nil {
		return storageError(err, s.connection.subject)
	}
	return s.connection.transaction(func() error {
		return s.connection.run(
			"INSERT INTO meta (name, value) VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET value = excluded.value", vaultHeader, encoded)
	})
}

// Read answers what a step of the core needs to know.
func (s *Storage) Read(_ context.Context, read *abi.Read) (*abi.ReadAnswer, error) {
	answer := &abi.ReadAnswer{}
	err := s.connection.use(func() (err error) {
		switch read := read.GetRead().(type) {
		case *abi.Read_Get:
			answer.Records, err = s.secrets.get(read.Get)
		case *abi.Read_FindTag:
			answer.Records, err = s.secrets.findTag(read.FindTag)
		case *abi.Read_Scan:
			answer.Records, err = s.secrets.scan(read.Scan.GetPrefix(), read.Scan.GetLimit())
		default:
			err = fault.New(abi.ErrorCode_INTERNAL, "the core read nothing; report this")
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	return answer, nil
}

// Commit applies all changes in order, atomically and durably.
func (s *Storage) Commit(_ context.Context, batch *abi.ChangeBatch) error {
	if err := changes.Check(batch.GetChanges()); err != nil {
		return err
	}
	return s.connection.transaction(func() error {
		for _, change := range batch.GetChanges() {
			if err := s.apply(change); err != nil {
				return err
			}
		}
		return nil
	})
}

func (s *Storage) apply(change *abi.Change) error {
	switch change := change.GetChange().(type) {
	case *abi.Change_Put:
		return s.secrets.put(change.Put.GetKey(), change.Put.GetValue())
	case *abi.Change_Delete:
		return s.secrets.delete(change.Delete)
	case *abi.Change_DeletePrefix:
		return s.secrets.deletePrefix(change.DeletePrefix)
	case *abi.Change_AddTags:
		return s.secrets.addTags(change.AddTags.GetKey(), change.AddTags.GetTags())
	case *abi.Change_RemoveTags:
		return s.secrets.removeTags(change.RemoveTags)
	case *abi.Change_PutMessage:
		return s.messages.put(change.PutMessage)
	case *abi.Change_SetStatus:
		return s.messages.setStatus(change.SetStatus)
	case *abi.Change_PeerRead:
		return s.messages.peerRead(change.PeerRead)
	case *abi.Change_OwnRead:
		return s.messages.ownRead(change.OwnRead)
	case *abi.Change_PutConversation:
		return s.messages.putConversation(change.PutConversation)
	case *abi.Change_DeleteConversation:
		return s.messages.deleteConversation(change.DeleteConversation)
	}
	// changes.Check has refused everything else.
	return nil
}

// ListConversations gives the conversations, the latest activity first.
func (s *Storage) ListConversations(_ context.Context, request *abi.ListConversationsRequest) (*abi.ConversationBatch, error) {
	return s.conversations(func() ([]*abi.Conversation, error) { return s.messages.conversations(request.GetAccountId()) })
}

// GetConversation gives none or one.
func (s *Storage) GetConversation(_ context.Context, request *abi.GetConversationRequest) (*abi.ConversationBatch, error) {
	return s.conversations(func() ([]*abi.Conversation, error) { return s.messages.conversation(request.GetConversationId()) })
}

// GetMessage gives none or one.
func (s *Storage) GetMessage(_ context.Context, request *abi.GetMessageRequest) (*abi.MessageRows, error) {
	return s.rows(func() ([]*abi.MessageRow, error) {
		return s.messages.message(request.GetConversationId(), request.GetMessageId())
	})
}

// ListMessages gives a page of a conversation, newest first.
func (s *Storage) ListMessages(_ context.Context, request *abi.ListMessagesRequest) (*abi.MessageRows, error) {
	if err := changes.CheckLimit(request.GetLimit()); err != nil {
		return nil, err
	}
	return s.rows(func() ([]*abi.MessageRow, error) {
		return s.messages.page(request.GetConversationId(), request.GetBefore(), request.GetLimit())
	})
}

// CountUnread counts incoming messages that are not marked read; reactions and receipts do not count.
func (s *Storage) CountUnread(_ context.Context, request *abi.CountUnreadRequest) (*abi.UnreadCount, error) {
	count := &abi.UnreadCount{}
	err := s.connection.use(func() (err error) {
		count.Unread, err = s.messages.countUnread(request.GetConversationId())
		return err
	})
	if err != nil {
		return nil, err
	}
	return count, nil
}

// SearchMessages finds messages by their words; only in databases whose messages are not sealed.
func (s *Storage) SearchMessages(_ context.Context, request *abi.SearchMessagesRequest) (*abi.MessageRows, error) {
	if err := changes.CheckLimit(request.GetLimit()); err != nil {
		return nil, err
	}
	return s.rows(func() ([]*abi.MessageRow, error) {
		return s.messages.search(request.GetQuery(), request.GetConversationId(), request.GetBefore(), request.GetLimit())
	})
}

// Close releases the file; a second call does nothing.
func (s *Storage) Close(context.Context) error {
	return s.connection.close()
}

func (s *Storage) rows(find func() ([]*abi.MessageRow, error)) (*abi.MessageRows, error) {
	found := &abi.MessageRows{}
	err := s.connection.use(func() (err error) {
		found.Rows, err = find()
		return err
	})
	if err != nil {
		return nil, err
	}
	return found, nil
}

func (s *Storage) conversations(find func() ([]*abi.Conversation, error)) (*abi.ConversationBatch, error) {
	found := &abi.ConversationBatch{}
	err := s.connection.use(func() (err error) {
		found.Conversations, err = find()
		return err
	})
	if err != nil {
		return nil, err
	}
	return found, nil
}
