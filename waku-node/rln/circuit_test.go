//go:build rln && cgo

package rln

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

func open(t *testing.T, plan GroupPlan) (folder string, group *Group) {
	t.Helper()
	folder = filepath.Join(t.TempDir(), "group")
	if _, err := WriteGroup(folder, plan); err != nil {
		t.Fatal(err)
	}
	file, err := os.Open(filepath.Join(folder, GroupFile))
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	if group, err = ReadGroup(file); err != nil {
		t.Fatal(err)
	}
	return folder, group
}

func credentials(t *testing.T, folder, name string) *Credentials {
	t.Helper()
	file, err := os.Open(filepath.Join(folder, name))
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	c, err := ReadCredentials(file)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func tree(t *testing.T, group *Group) *Tree {
	t.Helper()
	tree, err := NewTree(group)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(tree.Close)
	return tree
}

var plan = GroupPlan{RLNIdentifier: Element{1, 2, 3}, EpochSeconds: 600, Members: 5, UserMessageLimit: 3}

func TestS1_VectorsHold(t *testing.T) {
	v, group := readVectors(t)
	tree := tree(t, group)
	if tree.Root() != v.MerkleRoot {
		t.Errorf("root %s, want %s", tree.Root(), v.MerkleRoot)
	}
	laidOut := unhex(t, v.Proof)
	p := &Proof{Epoch: v.EpochNumber, RLNIdentifier: v.RLNIdentifier}
	copy(p.Snark[:], laidOut)
	for i, value := range []*Element{&p.MerkleRoot, new(Element), &p.ShareX, &p.ShareY, &p.Nullifier} {
		copy(value[:], laidOut[SnarkSize+32*i:])
	}
	if ok, err := tree.Verify(p, unhex(t, v.Signal)); !ok || err != nil {
		t.Errorf("got %v, %v", ok, err)
	}
	p.Epoch++
	if ok, err := tree.Verify(p, unhex(t, v.Signal)); ok || err != nil {
		t.Errorf("in another epoch: got %v, %v", ok, err)
	}
}

func TestS1_MembersProveAndTheTreeVerifies(t *testing.T) {
	folder, group := open(t, plan)
	prover, err := NewProver(group, credentials(t, folder, "member-4.json"))
	if err != nil {
		t.Fatal(err)
	}
	defer prover.Close()
	tree := tree(t, group)
	statement := Statement{Payload: []byte("x"), ContentTopic: "/a/1/b/proto", TimestampNs: 1_700_000_000e9, Epoch: 1_700_000_000 / 600}
	var wait sync.WaitGroup
	for id := range plan.UserMessageLimit {
		wait.Go(func() {
			s := statement
			s.MessageID = id
			encoded, err := prover.Prove(s)
			if err != nil {
				t.Error(err)
				return
			}
			p, err := DecodeProof(encoded)
			if err != nil {
				t.Error(err)
				return
			}
			if ok, err := tree.Verify(p, Signal(s.Payload, s.ContentTopic, s.TimestampNs)); !ok || err != nil {
				t.Errorf("message %d: got %v, %v", id, ok, err)
			}
			if ok, err := tree.Verify(p, Signal(s.Payload, s.ContentTopic, s.TimestampNs+1)); ok || err != nil {
				t.Errorf("message %d at another time: got %v, %v", id, ok, err)
			}
		})
	}
	wait.Wait()
}

func TestS1_SecondUseOfAMessageIDNamesTheMember(t *testing.T) {
	folder, group := open(t, plan)
	prover, err := NewProver(group, credentials(t, folder, "member-2.json"))
	if err != nil {
		t.Fatal(err)
	}
	defer prover.Close()
	var proofs []*Proof
	for _, payload := range []string{"one", "two"} {
		encoded, err := prover.Prove(Statement{Payload: []byte(payload), ContentTopic: "/a/1/b/proto", MessageID: 1})
		if err != nil {
			t.Fatal(err)
		}
		p, err := DecodeProof(encoded)
		if err != nil {
			t.Fatal(err)
		}
		proofs = append(proofs, p)
	}
	commitment, err := RecoverCommitment(proofs[0], proofs[1])
	if err != nil {
		t.Fatal(err)
	}
	if leaf, ok := group.Position(commitment); !ok || leaf != 2 {
		t.Errorf("member %d, %v", leaf, ok)
	}
	if _, err := RecoverCommitment(proofs[0], proofs[0]); err == nil {
		t.Error("one message named its author")
	}
}

func TestS1_WrongCredentialsAndStatementsNameTheField(t *testing.T) {
	folder, group := open(t, plan)
	other, _ := open(t, plan)
	for want, spoil := range map[string]func(*Credentials){
		"credentials.rlnIdentifier":      func(c *Credentials) { c.RLNIdentifier = Element{9} },
		"credentials.leafIndex":          func(c *Credentials) { c.LeafIndex = 5 },
		"credentials.userMessageLimit":   func(c *Credentials) { c.UserMessageLimit = 4 },
		"credentials.identitySecret":     func(c *Credentials) { c.LeafIndex = 1 },
		"credentials.identityCommitment": func(c *Credentials) { c.IdentityCommitment = Element{1} },
	} {
		c := credentials(t, folder, "member-0.json")
		spoil(c)
		var invalid *InvalidError
		if _, err := NewProver(group, c); !errors.As(err, &invalid) || invalid.Field != want || !strings.Contains(err.Error(), "; ") {
			t.Errorf("%s: got %v", want, err)
		}
	}
	noElement := credentials(t, folder, "member-0.json")
	noElement.IdentitySecret = Secret(bytes32(0xff))
	if _, err := NewProver(group, noElement); err == nil || !strings.Contains(err.Error(), "credentials.identitySecret is no field element") {
		t.Errorf("got %v", err)
	}
	bad := *group
	bad.Members = []Member{{IdentityCommitment: bytes32(0xff), UserMessageLimit: 1}}
	if _, err := NewTree(&bad); err == nil || !strings.Contains(err.Error(), "group.members") {
		t.Errorf("got %v", err)
	}
	if _, err := NewProver(group, credentials(t, other, "member-0.json")); err == nil {
		t.Error("credentials of another group were accepted")
	}

	prover, err := NewProver(group, credentials(t, folder, "member-0.json"))
	if err != nil {
		t.Fatal(err)
	}
	for want, s := range map[string]Statement{
		"messageId": {MessageID: 3},
		"epoch":     {TimestampNs: 600e9, Epoch: 0},
	} {
		var invalid *InvalidError
		if _, err := prover.Prove(s); !errors.As(err, &invalid) || invalid.Field != want {
			t.Errorf("%s: got %v", want, err)
		}
	}
	prover.Close()
	if prover.credentials.IdentitySecret != (Secret{}) {
		t.Error("the secret outlives Close")
	}
}

func TestS3_CredentialsAreForTheirOwnerOnly(t *testing.T) {
	folder, _ := open(t, plan)
	for name, want := range map[string]os.FileMode{GroupFile: 0o644, "member-0.json": 0o600} {
		info, err := os.Stat(filepath.Join(folder, name))
		if err != nil || info.Mode().Perm() != want {
			t.Errorf("%s: %v, %v", name, info.Mode(), err)
		}
	}
	text, err := os.ReadFile(filepath.Join(folder, GroupFile))
	if err != nil || strings.Contains(string(text), "ecret") {
		t.Errorf("the group's file holds a secret (%v)", err)
	}
	if _, err := WriteGroup(folder, plan); !errors.Is(err, os.ErrExist) {
		t.Errorf("files were overwritten: %v", err)
	}
}

func bytes32(b byte) (e Element) {
	for i := range e {
		e[i] = b
	}
	return e
}

func BenchmarkVerify(b *testing.B) {
	folder := filepath.Join(b.TempDir(), "group")
	group, err := WriteGroup(folder, plan)
	if err != nil {
		b.Fatal(err)
	}
	tree, err := NewTree(group)
	if err != nil {
		b.Fatal(err)
	}
	defer tree.Close()
	file, err := os.Open(filepath.Join(folder, "member-0.json"))
	if err != nil {
		b.Fatal(err)
	}
	defer file.Close()
	c, err := ReadCredentials(file)
	if err != nil {
		b.Fatal(err)
	}
	p, err := tree.prove(c, Statement{})
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		if ok, err := tree.Verify(p, Signal(nil, "", 0)); !ok || err != nil {
			b.Fatal(ok, err)
		}
	}
}

func BenchmarkProve(b *testing.B) {
	folder := filepath.Join(b.TempDir(), "group")
	group, err := WriteGroup(folder, plan)
	if err != nil {
		b.Fatal(err)
	}
	file, err := os.Open(filepath.Join(folder, "member-0.json"))
	if err != nil {
		b.Fatal(err)
	}
	defer file.Close()
	c, err := ReadCredentials(file)
	if err != nil {
		b.Fatal(err)
	}
	prover, err := NewProver(group, c)
	if err != nil {
		b.Fatal(err)
	}
	defer prover.Close()
	for b.Loop() {
		if _, err := prover.Prove(Statement{}); err != nil {
			b.Fatal(err)
		}
	}
}

// CGO_ENABLED=0 leaves out what imports "C", whatever the tags.
func TestS1_WithTheTagButWithoutCgoEverythingCompiles(t *testing.T) {
	command := exec.Command("go", "test", "-tags", "rln", "-run", "TestS1_WithoutTheCircuit", "-v", ".")
	command.Env = append(os.Environ(), "CGO_ENABLED=0")
	output, err := command.CombinedOutput()
	if err != nil || !strings.Contains(string(output), "--- PASS: TestS1_WithoutTheCircuit") {
		t.Errorf("%v: %s", err, output)
	}
}
