// Package consumer is a program of somebody else that takes modules of this repository, for tests.
package consumer

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// Get makes a module with these replace lines, gets the given modules at once, and compiles what imports them, with the build tags. goSum is a file
// that knows the sums of all that they need; nothing is downloaded.
//
// Modules are found by replace until they have a home; go then takes them for the oldest version that there is, and no module may ask for a newer one.
func Get(t *testing.T, goSum, tags string, replacements []string, modules ...string) {
	t.Helper()
	sums, err := os.ReadFile(goSum)
	if err != nil {
		t.Fatal(err)
	}
	folder := t.TempDir()
	var goMod, program strings.Builder
	fmt.Fprintf(&goMod, "module program\n\ngo 1.26.0\n")
	for _, replacement := range replacements {
		fmt.Fprintf(&goMod, "\nreplace %s\n", replacement)
	}
	fmt.Fprintf(&program, "package program\n")
	for _, module := range modules {
		fmt.Fprintf(&program, "\nimport _ %q\n", module)
	}
	for name, content := range map[string]string{"go.mod": goMod.String(), "go.sum": string(sums), "program.go": program.String()} {
		if err := os.WriteFile(filepath.Join(folder, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, arguments := range [][]string{append([]string{"get"}, modules...), {"build", "-tags", tags, "."}} {
		command := exec.CommandContext(t.Context(), "go", arguments...)
		command.Dir = folder
		command.Env = append(os.Environ(), "GOPROXY=off", "GOFLAGS=-mod=mod", "GOWORK=off")
		if output, err := command.CombinedOutput(); err != nil {
			t.Fatalf("go %s: %v: %s", strings.Join(arguments, " "), err, output)
		}
	}
}

// Replace is a line that finds a module in a folder.
func Replace(t *testing.T, module, folder string) string {
	t.Helper()
	path, err := filepath.Abs(folder)
	if err != nil {
		t.Fatal(err)
	}
	return module + " => " + path
}
