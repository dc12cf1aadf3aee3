package rln

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	"waku-node/rln/rlnpb"
)

// vectors are those of testdata/vectors.json, which the Rust crate and the TypeScript prover check as well.
type vectors struct {
	RLNIdentifier Element
	EpochSeconds  int64
	Members       []Member
	MerkleRoot    Element
	EpochNumber   uint64
	Epoch         Element
	Payload       string
	ContentTopic  string
	TimestampNs   string
	Signal        string
	Proof         string
}

func readVectors(t *testing.T) (v vectors, group *Group) {
	t.Helper()
	text, err := os.ReadFile("testdata/vectors.json")
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(text, &v); err != nil {
		t.Fatal(err)
	}
	return v, &Group{Version: FileVersion, RLNIdentifier: v.RLNIdentifier, EpochSeconds: v.EpochSeconds, Members: v.Members}
}

func unhex(t *testing.T, text string) []byte {
	t.Helper()
	b, err := hex.DecodeString(text)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestS1_SignalAndEpochAreThoseOfTheVectors(t *testing.T) {
	v, group := readVectors(t)
	var timestamp int64
	if _, err := fmt.Sscan(v.TimestampNs, &timestamp); err != nil {
		t.Fatal(err)
	}
	if got := Signal(unhex(t, v.Payload), v.ContentTopic, timestamp); !bytes.Equal(got, unhex(t, v.Signal)) {
		t.Errorf("signal %x, want %s", got, v.Signal)
	}
	if got := group.EpochOf(timestamp); got != v.EpochNumber {
		t.Errorf("epoch %d, want %d", got, v.EpochNumber)
	}
	if got := epochBytes(v.EpochNumber); got != v.Epoch {
		t.Errorf("epoch bytes %s, want %s", got, v.Epoch)
	}
}

func TestS1_EpochChangesAtItsFirstNanosecond(t *testing.T) {
	g := Group{EpochSeconds: 600}
	start := int64(600e9) * 4
	for timestamp, want := range map[int64]uint64{start - 1: 3, start: 4, start + 600e9 - 1: 4, start + 600e9: 5, -5: 0} {
		if got := g.EpochOf(timestamp); got != want {
			t.Errorf("epoch of %d is %d, want %d", timestamp, got, want)
		}
	}
}

func TestS1_EncodedProofIs335BytesAndComesBack(t *testing.T) {
	p := &Proof{Epoch: 77, MerkleRoot: Element{1}, ShareX: Element{2}, ShareY: Element{3}, Nullifier: Element{4}, RLNIdentifier: Element{5}}
	p.Snark[127] = 9
	encoded, err := p.Encode()
	if err != nil || len(encoded) != 335 {
		t.Fatalf("%d bytes, %v", len(encoded), err)
	}
	back, err := DecodeProof(encoded)
	if err != nil || *back != *p {
		t.Errorf("got %v, %v", back, err)
	}
}

func TestS1_MalformedProofsAreErrors(t *testing.T) {
	good := func() *rlnpb.RateLimitProof {
		field := make([]byte, 32)
		return &rlnpb.RateLimitProof{Proof: make([]byte, 128), MerkleRoot: field, Epoch: field, ShareX: field, ShareY: field, Nullifier: field, RlnIdentifier: field}
	}
	for name, spoil := range map[string]func(*rlnpb.RateLimitProof){
		"proof":          func(m *rlnpb.RateLimitProof) { m.Proof = make([]byte, 127) },
		"merkle_root":    func(m *rlnpb.RateLimitProof) { m.MerkleRoot = nil },
		"share_x":        func(m *rlnpb.RateLimitProof) { m.ShareX = make([]byte, 33) },
		"share_y":        func(m *rlnpb.RateLimitProof) { m.ShareY = nil },
		"nullifier":      func(m *rlnpb.RateLimitProof) { m.Nullifier = nil },
		"rln_identifier": func(m *rlnpb.RateLimitProof) { m.RlnIdentifier = nil },
		"epoch":          func(m *rlnpb.RateLimitProof) { m.Epoch = append(make([]byte, 31), 1) },
	} {
		m := good()
		spoil(m)
		encoded, err := proto.Marshal(m)
		if err != nil {
			t.Fatal(err)
		}
		var invalid *InvalidError
		if _, err := DecodeProof(encoded); !errors.As(err, &invalid) || invalid.Field != name {
			t.Errorf("%s: got %v", name, err)
		}
	}
	encoded, err := proto.Marshal(good())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := DecodeProof(encoded); err != nil {
		t.Errorf("the good one: %v", err)
	}
	for name, bad := range map[string][]byte{"empty": {}, "noise": []byte("no protobuf"), "unknown field": append(encoded, 0x42, 0x01, 0x00)} {
		if _, err := DecodeProof(bad); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

func TestS1_BadGroupFilesNameTheField(t *testing.T) {
	_, group := readVectors(t)
	for want, spoil := range map[string]func(*Group){
		"group.version":                       func(g *Group) { g.Version = 2 },
		"group.epochSeconds":                  func(g *Group) { g.EpochSeconds = 0 },
		"group.members":                       func(g *Group) { g.Members = nil },
		"group.members[1].userMessageLimit":   func(g *Group) { g.Members[1].UserMessageLimit = 65536 },
		"group.members[2].identityCommitment": func(g *Group) { g.Members[2].IdentityCommitment = g.Members[0].IdentityCommitment },
	} {
		bad := *group
		bad.Members = append([]Member(nil), group.Members...)
		spoil(&bad)
		text, err := json.Marshal(bad)
		if err != nil {
			t.Fatal(err)
		}
		var invalid *InvalidError
		if _, err := ReadGroup(bytes.NewReader(text)); !errors.As(err, &invalid) || invalid.Field != want {
			t.Errorf("%s: got %v", want, err)
		}
	}
}

// A day is what clients count; a group that no client opens must not be made, nor be served by a node.
func TestS1_AnEpochIsAtMostADay(t *testing.T) {
	_, group := readVectors(t)
	for seconds, ok := range map[int64]bool{0: false, 1: true, 86_400: true, 86_401: false, 31_536_000: false} {
		group.EpochSeconds = seconds
		text, err := json.Marshal(group)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := ReadGroup(bytes.NewReader(text)); (err == nil) != ok || err != nil && !strings.Contains(err.Error(), "epochSeconds must be from 1 to 86400") {
			t.Errorf("%d s: got %v", seconds, err)
		}
	}
}

func TestS3_ErrorsAboutFilesNameFieldAndPlaceAndQuoteNothing(t *testing.T) {
	const secret = "3aa6feedc0ffee"
	_, group := readVectors(t)
	text, err := json.MarshalIndent(group, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	whole := string(text)
	with := func(old, new string) string {
		if !strings.Contains(whole, old) {
			t.Fatalf("no %s", old)
		}
		return strings.Replace(whole, old, new, 1)
	}
	epoch := fmt.Sprintf(`"epochSeconds": %d`, group.EpochSeconds)
	for bad, want := range map[string]string{
		"":                                "group is no JSON: see line 1, column 1",
		secret:                            "group is no JSON: see line 1, column 2",
		`"` + secret + `"`:                "group must be a JSON object: see line 1, column 1",
		"null":                            "group must be a JSON object: see line 1, column 1",
		whole[:len(whole)-2]:              "group is no JSON: see line ",
		whole + "\n" + secret:             "group is no JSON: see line ",
		with(`"version"`, `"`+secret+`"`): "group has a field that does not belong there: see line 2, column 3",
		with(`"version"`, `"Version"`):    "group has a field that does not belong there: see line 2, column 3",
		with(epoch, `"version": 1`):       "group.version is there twice: see line 4, column 3",
		with(epoch+",", ""):               "group.epochSeconds is missing",
		with(epoch, `"epochSeconds": "`+secret+`"`):                      "group.epochSeconds must be a whole number: see line 4, column 19",
		with(epoch, `"epochSeconds": null`):                              "group.epochSeconds must be a whole number: see line 4, column 19",
		with(epoch, `"epochSeconds": 31415926.5`):                        "group.epochSeconds must be a whole number: see line 4, column 19",
		with(group.RLNIdentifier.String(), secret):                       "group.rlnIdentifier must be 64 hex digits: see line 3, column 20",
		with(group.Members[1].IdentityCommitment.String(), "xyz"+secret): "group.members[1].identityCommitment must be 64 hex digits: see line ",
		with(`"userMessageLimit"`, `"`+secret+`"`):                       "group.members[0] has a field that does not belong there: see line ",
		`{"version":1,"members":{"` + secret + `":1}}`:                   "group.members must be a list: see line 1, column 24",
		`{"version":1,"members":["` + secret + `"]}`:                     "group.members[0] must be a JSON object: see line 1, column 25",
	} {
		_, err := ReadGroup(strings.NewReader(bad))
		if err == nil || !strings.Contains(err.Error(), want) || !strings.HasSuffix(err.Error(), "; give the content of group.json, as the network's nodes have it") {
			t.Errorf("got %v, want %s", err, want)
		}
		for cause := err; cause != nil; cause = errors.Unwrap(cause) {
			if printed := fmt.Sprintf("%v %+v %#v", cause, cause, cause); strings.Contains(printed, "3aa6") || strings.Contains(printed, "3141") {
				t.Errorf("quoted: %s", printed)
			}
		}
	}
	if _, err := ReadGroup(bytes.NewReader(text)); err != nil {
		t.Errorf("the good one: %v", err)
	}
}

func TestS3_ErrorsAboutCredentialsNameTheFieldAndQuoteNothing(t *testing.T) {
	secret := strings.Repeat("3aa6", 16)
	good := `{"version":1,"rlnIdentifier":"` + strings.Repeat("00", 32) + `","leafIndex":0,"userMessageLimit":5,"identityCommitment":"` +
		strings.Repeat("01", 32) + `","identitySecret":"` + secret + `"}`
	if c, err := ReadCredentials(strings.NewReader(good)); err != nil || c.UserMessageLimit != 5 || c.IdentitySecret[0] != 0x3a {
		t.Fatalf("the good one: %v", err)
	}
	for want, change := range map[string][2]string{
		"credentials is no JSON: see line 1, column":     {`"}`, `"`},
		"credentials has a field that does not belong":   {`identitySecret`, secret},
		"credentials.identitySecret is missing":          {`,"identitySecret":"` + secret + `"`, ``},
		"credentials.identitySecret must be 64 hex":      {secret, secret[1:]},
		"credentials.leafIndex must be a whole number":   {`"leafIndex":0`, `"leafIndex":"` + secret + `"`},
		"credentials.userMessageLimit must be from 1 to": {`Limit":5`, `Limit":65536`},
		"credentials.version must be 1, not 2":           {`"version":1`, `"version":2`},
	} {
		_, err := ReadCredentials(strings.NewReader(strings.Replace(good, change[0], change[1], 1)))
		if err == nil || !strings.Contains(err.Error(), want) || !strings.HasSuffix(err.Error(), ofMember) || strings.Contains(err.Error(), "3aa6") {
			t.Errorf("got %v, want %s", err, want)
		}
	}
}

func TestS3_SecretIsNeverPrinted(t *testing.T) {
	secret := Secret{0xab, 0xcd}
	c := Credentials{IdentitySecret: secret}
	for _, printed := range []string{fmt.Sprint(secret), fmt.Sprintf("%x|%v|%+v|%#v|%s|%d|%q", secret, secret, secret, secret, secret, secret, secret), fmt.Sprintf("%+v|%v", c, &c),
		fmt.Sprintf("%v|%+v|%#v|%x", &Prover{credentials: c}, Prover{credentials: c}, Prover{credentials: c}, &Prover{credentials: c})} {
		if strings.Contains(printed, "abcd") || strings.Contains(printed, "171") {
			t.Errorf("printed: %s", printed)
		}
	}
	_, err := ReadCredentials(strings.NewReader(`{"identitySecret":"abcd"}`))
	if err == nil || strings.Contains(err.Error(), "abcd") {
		t.Errorf("got %v", err)
	}
}

func TestS1_EpochOfTheClock(t *testing.T) {
	if got := (&Group{EpochSeconds: 60}).EpochAt(time.Unix(119, 999)); got != 1 {
		t.Errorf("epoch %d", got)
	}
}
