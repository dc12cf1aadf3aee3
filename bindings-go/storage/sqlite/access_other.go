//go:build !unix

package sqlite

import (
	"io/fs"
	"os"
)

// accessible fails if the path is marked read-only; what else hinders writing shows when SQLite writes.
func accessible(path string) error {
	stat, err := os.Stat(path)
	if err == nil && stat.Mode().Perm()&0o200 == 0 {
		return fs.ErrPermission
	}
	return err
}
