package absent_test

import (
	"io"
	"os"
	"strings"
	"testing"

	"chatsdk/internal/absent"
)

func TestS4_NilInAnInterfaceIsAbsent(t *testing.T) {
	var reader *strings.Reader
	var file *os.File
	var function func()
	for value, want := range map[*any]bool{
		box(nil): true, box(reader): true, box(io.Reader(file)): true, box(function): true, box([]byte(nil)): true,
		box(strings.NewReader("")): false, box(struct{}{}): false, box([]byte{}): false, box(0): false,
	} {
		if got := absent.Is(*value); got != want {
			t.Errorf("%T: %v", *value, got)
		}
	}
}

func box(value any) *any { return &value }
