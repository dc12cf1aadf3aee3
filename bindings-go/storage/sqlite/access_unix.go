//go:build unix

package sqlite

import "golang.org/x/sys/unix"

// accessible fails unless this process may read and write the path; it does not open it.
func accessible(path string) error {
	return unix.Access(path, unix.R_OK|unix.W_OK)
}
