//go:build rln

package rln_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	circuit "waku-node/rln"

	"chatsdk"
	"chatsdk/waku"
	"chatsdk/waku/rln"
)

// club is a group's folder.
type club string

func newClub(t *testing.T, epochSeconds int64, limit uint64) club {
	t.Helper()
	folder := filepath.Join(t.TempDir(), "club")
	plan := circuit.GroupPlan{RLNIdentifier: circuit.Element{1}, EpochSeconds: epochSeconds, Members: 2, UserMessageLimit: limit}
	if _, err := circuit.WriteGroup(folder, plan); err != nil {
		t.Fatal(err)
	}
	return club(folder)
}

func (c club) groupFile() string { return filepath.Join(string(c), circuit.GroupFile) }

func (c club) group(t *testing.T) []byte { return read(t, c.groupFile()) }

func (c club) member(t *testing.T, index int) []byte {
	return read(t, filepath.Join(string(c), fmt.Sprintf("member-%d.json", index)))
}

func read(t *testing.T, path string) []byte {
	t.Helper()
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return content
}

func membership(t *testing.T, c club, credentials []byte) *rln.Membership {
	t.Helper()
	made, err := rln.NewMembership(bytes.NewReader(c.group(t)), credentials)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := made.Close(); err != nil {
			t.Error(err)
		}
	})
	return made
}

func opened(t *testing.T, c club, index int) *rln.Membership {
	t.Helper()
	made := membership(t, c, nil)
	if err := made.Open(c.member(t, index)); err != nil {
		t.Fatal(err)
	}
	return made
}

// request is of epoch 2 if epochs last 600 s.
var request = waku.ProofRequest{Topic: "/chatsdk/2/rln/proto", Payload: []byte("payload"), TimestampNs: 1_234e9, Epoch: 2, MessageID: 1}

func TestS1_AProofIsOneToTheVerifierForThisMessageAlone(t *testing.T) {
	c := newClub(t, 600, 3)
	encoded, err := opened(t, c, 1).Prove(t.Context(), request)
	if err != nil {
		t.Fatal(err)
	}
	proof, err := circuit.DecodeProof(encoded)
	if err != nil {
		t.Fatal(err)
	}
	group, err := circuit.ReadGroup(bytes.NewReader(c.group(t)))
	if err != nil {
		t.Fatal(err)
	}
	tree, err := circuit.NewTree(group)
	if err != nil {
		t.Fatal(err)
	}
	defer tree.Close()
	if proof.Epoch != request.Epoch {
		t.Errorf("epoch %d", proof.Epoch)
	}
	for _, signal := range []struct {
		payload, topic string
		timestampNs    int64
		want           bool
	}{
		{"payload", request.Topic, request.TimestampNs, true},
		{"Payload", request.Topic, request.TimestampNs, false},
		{"payload", "/chatsdk/2/other/proto", request.TimestampNs, false},
		{"payload", request.Topic, request.TimestampNs + 1, false},
	} {
		ok, err := tree.Verify(proof, circuit.Signal([]byte(signal.payload), signal.topic, signal.timestampNs))
		if ok != signal.want || err != nil {
			t.Errorf("%+v: %v, %v", signal, ok, err)
		}
	}
}

func TestS1_ASlotThatIsNotOneFailsWithoutAProof(t *testing.T) {
	m := opened(t, newClub(t, 600, 3), 0)
	cancelled, cancel := context.WithCancel(t.Context())
	cancel()
	late, over := request, request
	late.TimestampNs += 600e9
	over.MessageID = 3
	for _, attempt := range []struct {
		ctx     context.Context
		request waku.ProofRequest
		is      error
		says    string
	}{
		{t.Context(), late, chatsdk.ErrInvalidArgument, "epoch is 2, but the timestamp is in epoch 3"},
		{t.Context(), over, chatsdk.ErrInvalidArgument, "messageId"},
		{cancelled, request, context.Canceled, ""},
	} {
		start := time.Now()
		proof, err := m.Prove(attempt.ctx, attempt.request)
		if proof != nil || !errors.Is(err, attempt.is) || !strings.Contains(err.Error(), attempt.says) {
			t.Errorf("got %x, %v, want %v", proof, err, attempt.is)
		}
		if took := time.Since(start); took > 50*time.Millisecond {
			t.Errorf("%q took %v", attempt.says, took)
		}
	}
}

func TestS1_ItSaysTheLimitAndKeepsTheCredentialsUntilItIsOpen(t *testing.T) {
	c := newClub(t, 600, 3)
	given := c.member(t, 0)
	m := membership(t, c, given)
	limit := m.RateLimit()
	if limit.GetEpochSeconds() != 600 || limit.GetMessagesPerEpoch() != 3 || !bytes.Equal(limit.GetCredentials(), given) {
		t.Errorf("epoch %d, limit %d", limit.GetEpochSeconds(), limit.GetMessagesPerEpoch())
	}
	clear(given)
	if bytes.Equal(m.RateLimit().GetCredentials(), given) {
		t.Error("the membership shares its credentials with the caller")
	}
	if err := m.Open(limit.GetCredentials()); err != nil {
		t.Fatal(err)
	}
	if kept := m.RateLimit().GetCredentials(); len(kept) > 0 {
		t.Error("the credentials outlive Open")
	}
	later := membership(t, c, nil).RateLimit()
	if later.GetEpochSeconds() != 600 || later.GetMessagesPerEpoch() != 0 || len(later.GetCredentials()) > 0 {
		t.Errorf("%v", later)
	}
}

func TestS1_WrongFilesAreNamedAndNotQuoted(t *testing.T) {
	c, other := newClub(t, 600, 3), newClub(t, 600, 3)
	group, credentials := string(c.group(t)), string(c.member(t, 0))
	for want, files := range map[string][2]string{
		"rln.group: reading the group":                {"no JSON", ""},
		"rln.group: epochSeconds":                     {strings.Replace(group, `"epochSeconds": 600`, `"epochSeconds": 86401`, 1), ""},
		"rln.credentials: reading the":                {group, "no JSON"},
		"rln.credentials: userMessageLimit":           {group, strings.Replace(credentials, `"userMessageLimit": 3`, `"userMessageLimit": 65536`, 1)},
		"rln.credentials: missing":                    {group, ""},
		"rln.credentials: credentials.identitySecret": {group, string(other.member(t, 0))},
		"rln.credentials: credentials.leafIndex":      {group, strings.Replace(credentials, `"leafIndex": 0`, `"leafIndex": 7`, 1)},
	} {
		m, err := rln.NewMembership(strings.NewReader(files[0]), []byte(files[1]))
		if err == nil {
			err = m.Open([]byte(files[1]))
		}
		if !errors.Is(err, chatsdk.ErrInvalidArgument) || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "no JSON") {
			t.Errorf("got %v, want %q", err, want)
		}
	}
}

func TestS1_AMembershipIsOfOneClient(t *testing.T) {
	c := newClub(t, 600, 3)
	m := membership(t, c, nil)
	if _, err := m.Prove(t.Context(), request); !errors.Is(err, chatsdk.ErrInvalidArgument) {
		t.Errorf("before Open: %v", err)
	}
	if err := m.Open(c.member(t, 0)); err != nil {
		t.Fatal(err)
	}
	if err := m.Open(c.member(t, 0)); !errors.Is(err, chatsdk.ErrInvalidArgument) {
		t.Errorf("opened twice: %v", err)
	}
	// Closing waits for the proof under way.
	var proving sync.WaitGroup
	proving.Go(func() {
		if _, err := m.Prove(t.Context(), request); err != nil && !errors.Is(err, chatsdk.ErrClosed) {
			t.Error(err)
		}
	})
	if err := m.Close(); err != nil {
		t.Fatal(err)
	}
	proving.Wait()
	if _, err := m.Prove(t.Context(), request); !errors.Is(err, chatsdk.ErrClosed) {
		t.Errorf("after Close: %v", err)
	}
	if err := m.Open(c.member(t, 0)); !errors.Is(err, chatsdk.ErrClosed) {
		t.Errorf("opened after Close: %v", err)
	}
}

func TestS3_AMembershipPrintsNoSecret(t *testing.T) {
	c := newClub(t, 600, 3)
	m := membership(t, c, c.member(t, 0))
	var log bytes.Buffer
	slog.New(slog.NewTextHandler(&log, nil)).Info("x", "rln", m, "options", chatsdk.Options{RLN: m})
	slog.New(slog.NewJSONHandler(&log, nil)).Info("x", "rln", m)
	printed := fmt.Sprintf("%v %+v %#v %s %x %d %v", m, m, m, m, m, m, chatsdk.Options{RLN: m}) + log.String()
	if strings.Contains(printed, "identitySecret") || strings.Contains(printed, fmt.Sprintf("%x", "identitySecret")) || !strings.Contains(printed, "rln.Membership") {
		t.Errorf("printed: %s", printed)
	}
}
