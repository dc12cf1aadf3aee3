//go:build rln

package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"waku-node/rln"
)

func TestS1_GroupCommandMakesAGroupForTheNode(t *testing.T) {
	folder := filepath.Join(t.TempDir(), "group")
	p := command(t, "rln-group", "--members", "3", "--limit", "7", "--epoch", "60", "--out", folder)
	code, output := p.exit(t)
	var made struct {
		Members    int
		MerkleRoot string
	}
	if err := json.Unmarshal([]byte(output), &made); err != nil || code != 0 || made.Members != 3 {
		t.Fatalf("status %d, output %q, %v", code, output, err)
	}
	for name, kept := range map[string]bool{rln.GroupFile: true, "member-2.json": true, "member-3.json": false} {
		if _, err := os.Stat(filepath.Join(folder, name)); (err == nil) != kept {
			t.Errorf("%s: %v", name, err)
		}
	}
	n := startProcess(t, "--rln-group", filepath.Join(folder, rln.GroupFile))
	if n.ready.RLN == nil || n.ready.RLN.MerkleRoot != made.MerkleRoot || n.ready.RLN.EpochSeconds != 60 {
		t.Errorf("ready line %+v, made %+v", n.ready.RLN, made)
	}
	again := command(t, "rln-group", "--out", folder)
	if code, _ := again.exit(t); code != 1 || !strings.Contains(again.stderr.String(), "exists") {
		t.Errorf("a second group in the folder: status %d, %s", code, again.stderr.String())
	}
}

func TestS1_GroupCommandTakesEpochsAsLongAsClientsDo(t *testing.T) {
	p := command(t, "rln-group", "--epoch", "86400", "--out", filepath.Join(t.TempDir(), "group"))
	if code, output := p.exit(t); code != 0 || output == "" {
		t.Errorf("status %d, output %q, errors %q", code, output, p.stderr.String())
	}
}

func TestS1_GroupCommandRefusesBadArguments(t *testing.T) {
	for arguments, want := range map[string]int{
		"": 2, "--out x y": 2, "--members 0 --out x": 1, "--limit 65536 --out x": 1, "--epoch 0 --out x": 1, "--epoch 86401 --out x": 2,
		"--identifier 123456789012345678901234567890123 --out x": 2, "--nonsense": 2,
	} {
		p := command(t, append([]string{"rln-group"}, strings.Fields(arguments)...)...)
		if code, output := p.exit(t); code != want || output != "" || p.stderr.Len() == 0 {
			t.Errorf("%q: status %d, output %q, errors %q", arguments, code, output, p.stderr.String())
		}
	}
}
