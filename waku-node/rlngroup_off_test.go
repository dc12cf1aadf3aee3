//go:build !rln

package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// A node that cannot check proofs must not start as if it did.
func TestS1_BuildWithoutRLNRefusesAGroup(t *testing.T) {
	group := filepath.Join(t.TempDir(), "group.json")
	text := `{"version":1,"rlnIdentifier":"` + strings.Repeat("00", 32) + `","epochSeconds":600,"members":[{"identityCommitment":"` +
		strings.Repeat("01", 32) + `","userMessageLimit":1}]}`
	if err := os.WriteFile(group, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, arguments := range [][]string{{"--rln-group", group}, {"rln-group", "--out", filepath.Join(t.TempDir(), "new")}} {
		p := command(t, arguments...)
		if code, output := p.exit(t); code != 1 || output != "" || !strings.Contains(p.stderr.String(), "built without RLN") {
			t.Errorf("%q: status %d, output %q, errors %q", arguments, code, output, p.stderr.String())
		}
	}
}
