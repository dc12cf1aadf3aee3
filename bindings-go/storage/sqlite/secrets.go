package sqlite

import (
	"github.com/ncruces/go-sqlite3"

	"chatsdk/abi"
	"chatsdk/internal/changes"
)

// secrets is the tables records and tags. Its methods run inside use or transaction.
type secrets struct {
	connection *connection
}

func (s secrets) get(key string) ([]*abi.Record, error) {
	return s.records("SELECT key, value FROM records WHERE key = ?", key)
}

func (s secrets) findTag(tag []byte) ([]*abi.Record, error) {
	return s.records("SELECT key, value FROM tags JOIN records USING (key) WHERE tag = ?", tag)
}

// scan gives the records whose key starts with prefix in the order of the key's bytes; limit 0 means all.
func (s secrets) scan(prefix string, limit uint32) ([]*abi.Record, error) {
	condition, values := startsWith(prefix)
	most := int64(limit)
	if limit == 0 {
		most = -1
	}
	return s.records("SELECT key, value FROM records WHERE "+condition+" ORDER BY key LIMIT ?", append(values, most)...)
}

func (s secrets) put(key string, value []byte) error {
	// Not REPLACE: it deletes the old row, and a setting decides whether the trigger then takes the tags.
	return s.connection.run(
		"INSERT INTO records (key, value) VALUES (?, ?) ON CONFLICT (key) DO UPDATE SET value = excluded.value", key, value)
}

func (s secrets) delete(key string) error {
	return s.connection.run("DELETE FROM records WHERE key = ?", key)
}

func (s secrets) deletePrefix(prefix string) error {
	condition, values := startsWith(prefix)
	return s.connection.run("DELETE FROM records WHERE "+condition, values...)
}

func (s secrets) addTags(key string, tags []byte) error {
	for tag := range changes.Tags(tags) {
		err := s.connection.run("INSERT INTO tags (tag, key) VALUES (?, ?) ON CONFLICT (tag) DO UPDATE SET key = excluded.key", tag, key)
		if err != nil {
			return err
		}
	}
	return nil
}

func (s secrets) removeTags(tags []byte) error {
	for tag := range changes.Tags(tags) {
		if err := s.connection.run("DELETE FROM tags WHERE tag = ?", tag); err != nil {
			return err
		}
	}
	return nil
}

func (s secrets) records(sql string, values ...any) ([]*abi.Record, error) {
	var found []*abi.Record
	err := s.connection.query(sql, func(row *sqlite3.Stmt) error {
		found = append(found, &abi.Record{Key: row.ColumnText(0), Value: row.ColumnBlob(1, nil)})
		return nil
	}, values...)
	return found, err
}

// startsWith is a range of the primary key rather than LIKE, which ignores case and knows wildcards.
func startsWith(prefix string) (condition string, values []any) {
	end, bounded := changes.PrefixEnd(prefix)
	if !bounded {
		return "key >= ?", []any{prefix}
	}
	return "key >= ? AND key < ?", []any{prefix, end}
}
