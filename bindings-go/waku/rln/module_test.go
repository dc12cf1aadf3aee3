package rln_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// A program's modules are found by replace, until they have a home; go then takes them for the oldest version that there is, and no module may ask
// for a newer one.
func TestS1_AProgramGetsClientAndMembershipAtOnce(t *testing.T) {
	here, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	program := "module program\n\ngo 1.26.0\n"
	for module, folder := range map[string]string{"chatsdk": "../..", "chatsdk/waku/rln": ".", "waku-node/rln": "../../../waku-node/rln"} {
		program += fmt.Sprintf("\nreplace %s => %s\n", module, filepath.Join(here, folder))
	}
	folder := t.TempDir()
	for name, content := range map[string][]byte{"go.mod": []byte(program), "go.sum": read(t, "go.sum"), "main.go": []byte("package main\n")} {
		if err := os.WriteFile(filepath.Join(folder, name), content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	get := exec.Command("go", "get", "chatsdk", "chatsdk/waku/rln")
	get.Dir = folder
	// What this module needs is there.
	get.Env = append(os.Environ(), "GOPROXY=off", "GOFLAGS=-mod=mod", "GOWORK=off")
	if output, err := get.CombinedOutput(); err != nil {
		t.Errorf("%v: %s", err, output)
	}
}

func read(t *testing.T, path string) []byte {
	t.Helper()
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return content
}
