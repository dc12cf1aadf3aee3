package sqlite

import (
	"errors"
	"io/fs"
	"math"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/ncruces/go-sqlite3"
	"github.com/ncruces/go-sqlite3/ext/fts5"

	"chatsdk/abi"
	"chatsdk/internal/fault"
)

// quickCheckBytes: larger files are not read through at open, which takes seconds from a slow disk.
const quickCheckBytes = 64 << 20

// connectionPragmas are for every connection that may write; docs/database.md gives the reasons.
const connectionPragmas = `
  PRAGMA synchronous = FULL;
  PRAGMA fullfsync = ON;
  PRAGMA checkpoint_fullfsync = ON;
  PRAGMA secure_delete = ON;
  PRAGMA foreign_keys = ON;
  PRAGMA trusted_schema = OFF;
  PRAGMA cell_size_check = ON;
  PRAGMA temp_store = MEMORY;
`

// openFile opens or makes the database file and takes its lock. A file that is not a sound database of ours is refused and left as it
// is, byte for byte. It fails as Open does.
func openFile(path string, options Options) (database *sqlite3.Conn, subject string, err error) {
	if path == "" || strings.Contains(path, "\x00") {
		return nil, "", fault.New(abi.ErrorCode_INVALID_ARGUMENT, "path: must name a file")
	}
	if options.MaximumBytes != 0 && options.MaximumBytes < pageSize {
		return nil, "", fault.New(abi.ErrorCode_INVALID_ARGUMENT, "MaximumBytes: must be at least 4,096, or 0 for no limit")
	}
	file, err := filepath.Abs(path)
	if err != nil {
		return nil, "", fault.Because(abi.ErrorCode_INVALID_ARGUMENT, err, "path: cannot be made absolute; give an absolute one")
	}
	subject = "path " + file
	database, err = openOrCreate(file, options, subject)
	return database, subject, storageError(err, subject)
}

func openOrCreate(file string, options Options, subject string) (*sqlite3.Conn, error) {
	exists, err := fileExists(file, subject)
	if err != nil {
		return nil, err
	}
	if !exists {
		if !options.Create {
			return nil, fault.New(abi.ErrorCode_INVALID_ARGUMENT,
				"%s: there is no such file; correct it, or open with Create", subject)
		}
		if err := createFile(file, subject); err != nil {
			return nil, err
		}
	}
	real, err := filepath.EvalSymlinks(file)
	if err != nil {
		return nil, err
	}
	database, err := openExisting(real, options, subject)
	return database, schemaError(err, subject)
}

// An existing database is never opened with package os, only looked at with stat and access: where another SQLite in this process holds
// POSIX locks on it, closing any descriptor of the file drops all of them.

func openExisting(file string, options Options, subject string) (database *sqlite3.Conn, err error) {
	for _, path := range []string{file, filepath.Dir(file)} {
		if err := requireWritable(path, subject); err != nil {
			return nil, err
		}
	}
	size, err := fileSize(file)
	if err != nil {
		return nil, err
	}
	if size == 0 {
		return nil, corrupt(subject, "is empty, which a database never is", nil)
	}
	if err := checkIdentity(file, subject); err != nil {
		return nil, err
	}
	uncheckpointed, err := fileSize(file + "-wal")
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	small := size+uncheckpointed < quickCheckBytes
	if uncheckpointed > 0 {
		// After a crash. The connection below would merge the -wal file into a damaged database when it closes; this one cannot.
		err := withDatabase(file, "mode=ro", func(database *sqlite3.Conn) error { return checkContent(database, small, subject) })
		if err != nil {
			return nil, err
		}
	}

	database, err = connect(file, "mode=rw")
	if err != nil {
		return nil, err
	}
	if err := prepare(database, file, options, uncheckpointed > 0, small, subject); err != nil {
		// The failure that matters is known.
		_ = database.Close()
		return nil, err
	}
	return database, nil
}

// prepare takes the lock, checks what the file holds, and sets the connection up for writing.
func prepare(database *sqlite3.Conn, file string, options Options, afterCrash, small bool, subject string) error {
	if !afterCrash {
		if err := checkLength(file, database, subject); err != nil {
			return err
		}
		if err := checkContent(database, small, subject); err != nil {
			return err
		}
	}
	// The file can be written, that was looked at before: its header forbids it, which none of ours does.
	if readOnly, _ := database.ReadOnly("main"); readOnly {
		return corrupt(subject, "has a damaged header", nil)
	}
	mode, err := pragma(database, "journal_mode = WAL")
	if err != nil {
		return err
	}
	if mode != "wal" {
		return fault.New(abi.ErrorCode_STORAGE_FAILED, "%s: the file system does not allow a write-ahead log; use a local disk", subject)
	}
	if err := database.Exec(connectionPragmas); err != nil {
		return err
	}
	// Left by the read-only connection; nobody else can use it under our lock.
	if err := os.Remove(file + "-shm"); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if afterCrash {
		// Deleted keys must not outlive a crash in the -wal file.
		truncated, err := truncateWAL(database)
		if err != nil {
			return err
		}
		if truncated {
			if err := checkLength(file, database, subject); err != nil {
				return err
			}
		}
	}
	if options.MaximumBytes > 0 {
		return database.Exec("PRAGMA max_page_count = " + strconv.FormatInt(min(options.MaximumBytes/pageSize, math.MaxUint32-1), 10))
	}
	return nil
}

const pageSize = 4096

// checkIdentity finds out whose database this is, without locks and without the -wal file, so that another application's file stays
// untouched. writable_schema lets a file pass that a crash left shorter than its header says: its -wal file completes it.
func checkIdentity(file, subject string) error {
	return withDatabase(file, "mode=ro&immutable=1", func(database *sqlite3.Conn) error {
		if err := database.Exec("PRAGMA writable_schema = ON"); err != nil {
			return err
		}
		application, err := pragmaNumber(database, "application_id")
		if err != nil {
			return err
		}
		if application != applicationID {
			return corrupt(subject, "is a database of another application", nil)
		}
		version, err := pragmaNumber(database, "user_version")
		switch {
		case err != nil:
			return err
		case version > schemaVersion:
			return fault.New(abi.ErrorCode_UNSUPPORTED_VERSION,
				"%s: schema version %d is newer than %d, the newest this SDK knows; update the SDK", subject, version, schemaVersion)
		case version < 1:
			return corrupt(subject, "has no schema version", nil)
		}
		return nil
	})
}

// truncateWAL is false if there is no space for it: then all is read from the -wal file, as before.
func truncateWAL(database *sqlite3.Conn) (bool, error) {
	err := database.Exec("PRAGMA wal_checkpoint(TRUNCATE)")
	if primaryCode(err) == sqlite3.FULL {
		return false, nil
	}
	return err == nil, err
}

// checkLength: SQLite notices missing pages, but reads a last page that is cut as if it ended in zeros.
func checkLength(file string, database *sqlite3.Conn, subject string) error {
	pages, err := pragmaNumber(database, "page_count")
	if err != nil {
		return err
	}
	bytes, err := pragmaNumber(database, "page_size")
	if err != nil {
		return err
	}
	size, err := fileSize(file)
	if err == nil && size < pages*bytes {
		return corrupt(subject, "is cut short", nil)
	}
	return err
}

func checkContent(database *sqlite3.Conn, readThrough bool, subject string) error {
	if err := checkSchema(database, subject); err != nil {
		return err
	}
	if !readThrough {
		return nil
	}
	result, err := pragma(database, "quick_check(1)")
	if err == nil && result != "ok" {
		return corrupt(subject, "is damaged", nil)
	}
	return err
}

func fileExists(file, subject string) (bool, error) {
	stat, err := os.Stat(file)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return false, nil
	case err != nil:
		return false, err
	case !stat.Mode().IsRegular():
		return false, fault.New(abi.ErrorCode_INVALID_ARGUMENT, "%s: is not a regular file; name a file", subject)
	}
	return true, nil
}

func fileSize(file string) (int64, error) {
	stat, err := os.Stat(file)
	if err != nil {
		return 0, err
	}
	return stat.Size(), nil
}

func requireWritable(path, subject string) error {
	if err := accessible(path); err != nil {
		return fault.Because(abi.ErrorCode_STORAGE_FAILED, err,
			"%s: %s is read-only; allow reading and writing it, or use another place", subject, path)
	}
	return nil
}

// connect takes mode rather than flags: SQLite must not make a file that vanished since we looked.
func connect(file, parameters string) (*sqlite3.Conn, error) {
	flags := sqlite3.OPEN_URI | sqlite3.OPEN_READWRITE
	if strings.HasPrefix(parameters, "mode=ro") {
		flags = sqlite3.OPEN_URI | sqlite3.OPEN_READONLY
	}
	path := filepath.ToSlash(file)
	if !strings.HasPrefix(path, "/") {
		// A drive letter of Windows.
		path = "/" + path
	}
	database, err := sqlite3.OpenFlags((&url.URL{Scheme: "file", OmitHost: true, Path: path, RawQuery: parameters}).String(), flags)
	if err != nil {
		return nil, err
	}
	if err := setUp(database, flags&sqlite3.OPEN_READONLY != 0); err != nil {
		// The failure that matters is known.
		_ = database.Close()
		return nil, err
	}
	return database, nil
}

// setUp takes care of the order: registering the module reads the database, and only what was set before the first read makes that read
// take the file's exclusive lock (in WAL mode), for every process and until close.
func setUp(database *sqlite3.Conn, readOnly bool) error {
	if !readOnly {
		if err := database.Exec("PRAGMA locking_mode = EXCLUSIVE"); err != nil {
			return err
		}
	}
	return fts5.Register(database)
}

func withDatabase(file, parameters string, use func(database *sqlite3.Conn) error) (err error) {
	database, err := connect(file, parameters)
	if err != nil {
		return err
	}
	defer func() {
		if closing := database.Close(); err == nil {
			err = closing
		}
	}()
	return use(database)
}

func pragma(database *sqlite3.Conn, text string) (result string, err error) {
	statement, _, err := database.Prepare("PRAGMA " + text)
	if err != nil {
		return "", err
	}
	if statement.Step() {
		result = statement.ColumnText(0)
	}
	return result, statement.Close()
}

func pragmaNumber(database *sqlite3.Conn, name string) (int64, error) {
	text, err := pragma(database, name)
	if err != nil {
		return 0, err
	}
	return strconv.ParseInt(text, 10, 64)
}
