package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"
)

// tooLong counts lines of code: without blank ones, comments, the package clause and the imports. It says what is wrong, if anything.
func tooLong(source string) string {
	files := token.NewFileSet()
	file, err := parser.ParseFile(files, "main.go", source, parser.ImportsOnly)
	if err != nil {
		return err.Error()
	}
	skipped := files.Position(file.Name.End()).Line
	for _, declaration := range file.Decls {
		if imports, ok := declaration.(*ast.GenDecl); ok && imports.Tok == token.IMPORT {
			skipped = files.Position(imports.End()).Line
		}
	}
	count, longest := 0, 0
	for number, line := range strings.Split(source, "\n") {
		longest = max(longest, len([]rune(strings.ReplaceAll(line, "\t", "    "))))
		line = strings.TrimSpace(line)
		if number >= skipped && line != "" && !strings.HasPrefix(line, "//") {
			count++
		}
	}
	if count > 25 || longest > 120 {
		return fmt.Sprintf("%d lines of code, the longest line has %d characters", count, longest)
	}
	return ""
}

func TestU3_TheMinimalExampleHasAtMost25LinesOfCode(t *testing.T) {
	source, err := os.ReadFile("main.go")
	if err != nil {
		t.Fatal(err)
	}
	if problem := tooLong(string(source)); problem != "" {
		t.Error(problem)
	}
}

func TestU3_TheCountCanFail(t *testing.T) {
	program := func(statements int) string {
		return "// A comment.\npackage main\n\nimport (\n\t\"os\"\n)\n\nfunc main() {\n" + strings.Repeat("\tos.Exit(0)\n\n\t// A comment.\n", statements) + "}\n"
	}
	if problem := tooLong(program(23)); problem != "" {
		t.Errorf("25 lines: %s", problem)
	}
	if problem := tooLong(program(24)); !strings.HasPrefix(problem, "26 lines") {
		t.Errorf("26 lines: %q", problem)
	}
	if tooLong("package main\n\nfunc main() { "+strings.Repeat("_ = 1; ", 30)+"}\n") == "" {
		t.Error("a line of more than 120 characters")
	}
}

// program is a running example whose output is collected.
type program struct {
	t       *testing.T
	command *exec.Cmd
	stdin   io.WriteCloser
	mu      sync.Mutex
	output  string
}

func run(t *testing.T, folder, node string, arguments ...string) *program {
	t.Helper()
	p := &program{t: t, command: exec.CommandContext(t.Context(), filepath.Join(folder, "minimal"), arguments...)}
	p.command.Dir = folder
	p.command.Env = append(os.Environ(), "WAKU_NODE="+node, "XDG_STATE_HOME="+folder)
	p.command.Stdout, p.command.Stderr = p, p
	var err error
	if p.stdin, err = p.command.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	if err := p.command.Start(); err != nil {
		t.Fatal(err)
	}
	return p
}

// Write collects output.
func (p *program) Write(text []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.output += string(text)
	return len(text), nil
}

// until waits for output and takes it, with all before it; it returns the first group of the pattern.
func (p *program) until(pattern string) string {
	p.t.Helper()
	expression := regexp.MustCompile(pattern)
	for deadline := time.Now().Add(60 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		p.mu.Lock()
		if match := expression.FindStringSubmatchIndex(p.output); match != nil {
			found := p.output[match[len(match)-2]:match[len(match)-1]]
			p.output = p.output[match[1]:]
			p.mu.Unlock()
			return found
		}
		output := p.output
		p.mu.Unlock()
		if time.Now().After(deadline) {
			p.t.Fatalf("%s did not come: %q", pattern, output)
		}
	}
}

func (p *program) say(line string) {
	p.t.Helper()
	if _, err := io.WriteString(p.stdin, line+"\n"); err != nil {
		p.t.Fatal(err)
	}
}

func (p *program) end() {
	p.t.Helper()
	if err := p.stdin.Close(); err != nil {
		p.t.Error(err)
	}
	if err := p.command.Wait(); err != nil {
		p.t.Errorf("%v: %s", err, p.output)
	}
}

func TestU3_TheMinimalExampleChatsAndGoesOnAfterARestart(t *testing.T) {
	binary := os.Getenv("WAKU_NODE_BIN")
	if binary == "" {
		t.Skip("SKIPPED: WAKU_NODE_BIN does not name the service node's program (waku-node/README.md), so nothing is known about a real network")
	}
	folder := t.TempDir()
	if output, err := exec.CommandContext(t.Context(), "go", "build", "-o", filepath.Join(folder, "minimal"), ".").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, output)
	}
	service := exec.CommandContext(t.Context(), binary, "--exit-on-stdin-close", "--log-level", "error")
	stdin, err := service.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := service.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := service.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		// Ends the program; what it then reports does not matter.
		_ = stdin.Close()
		_ = service.Wait()
	}()
	line, err := bufio.NewReader(stdout).ReadBytes('\n')
	if err != nil {
		t.Fatal(err)
	}
	var ready struct{ Websocket string }
	if err := json.Unmarshal(line, &ready); err != nil {
		t.Fatal(err)
	}

	alice := run(t, folder, ready.Websocket, "alice")
	link := alice.until(`link: (\S+)\n`)
	bob := run(t, folder, ready.Websocket, "bob", link)
	alice.until(`(< Hello!)\n`)
	bob.until(`(✓ sent)\n`)
	bob.until(`(✓ delivered)\n`)
	alice.say("Hello Bob")
	bob.until(`(< Hello Bob)\n`)
	alice.until(`(✓ delivered)\n`)
	bob.say("How are you?")
	alice.until(`(< How are you\?)\n`)
	bob.end()
	alice.say("Are you there?")
	alice.until(`(✓ sent)\n`)
	again := run(t, folder, ready.Websocket, "bob")
	again.until(`(< Are you there\?)\n`)
	again.say("I am")
	alice.until(`(< I am)\n`)
	again.end()
	alice.end()
}
