//go:build rln && cgo

package rln_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	circuit "waku-node/rln"

	"chatsdk"
	"chatsdk/abi"
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
	taken(t, made)
	if err := made.Open(c.member(t, index)); err != nil {
		t.Fatal(err)
	}
	return made
}

// taken is what a client does first.
func taken(t *testing.T, m *rln.Membership) *abi.RateLimit {
	t.Helper()
	limit, err := m.RateLimit()
	if err != nil {
		t.Fatal(err)
	}
	return limit
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
		{t.Context(), late, chatsdk.ErrInvalidArgument, "rln.epoch: is 2, but the timestamp is in epoch 3"},
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

func TestS1_ItSaysTheLimitAndSharesItsCredentialsWithNobody(t *testing.T) {
	c := newClub(t, 600, 3)
	given := c.member(t, 0)
	m := membership(t, c, given)
	want := bytes.Clone(given)
	clear(given)
	limit := taken(t, m)
	if limit.GetEpochSeconds() != 600 || limit.GetMessagesPerEpoch() != 3 || !bytes.Equal(limit.GetCredentials(), want) {
		t.Errorf("epoch %d, limit %d", limit.GetEpochSeconds(), limit.GetMessagesPerEpoch())
	}
	if err := m.Open(limit.GetCredentials()); err != nil {
		t.Fatal(err)
	}
	later := taken(t, membership(t, c, nil))
	if later.GetEpochSeconds() != 600 || later.GetMessagesPerEpoch() != 0 || len(later.GetCredentials()) > 0 {
		t.Errorf("%v", later)
	}
}

func TestS1_WrongFilesAreNamedByFieldAndRemedyAndNotQuoted(t *testing.T) {
	c, other := newClub(t, 600, 3), newClub(t, 600, 3)
	group, credentials := string(c.group(t)), string(c.member(t, 0))
	var secret struct{ IdentitySecret string }
	if err := json.Unmarshal([]byte(credentials), &secret); err != nil || len(secret.IdentitySecret) != 64 {
		t.Fatal(err)
	}
	for want, files := range map[string][2]string{
		"rln.group: is no JSON: see line 1, column 2":     {"no JSON", ""},
		"rln.group: has a field that does not belong":     {credentials, ""},
		"rln.group: must be a JSON object":                {fmt.Sprintf("%q", credentials), ""},
		"rln.group.epochSeconds: must be from 1 to 86400": {strings.Replace(group, `"epochSeconds": 600`, `"epochSeconds": 86401`, 1), ""},
		"rln.credentials: is no JSON":                     {group, "no JSON"},
		"rln.credentials: has a field":                    {group, strings.Replace(credentials, "identitySecret", secret.IdentitySecret, 1)},
		"rln.credentials.userMessageLimit: must be":       {group, strings.Replace(credentials, `"userMessageLimit": 3`, `"userMessageLimit": 65536`, 1)},
		"rln.credentials.userMessageLimit: is 2, in":      {group, strings.Replace(credentials, `"userMessageLimit": 3`, `"userMessageLimit": 2`, 1)},
		"rln.credentials: empty":                          {group, ""},
		"rln.credentials.identitySecret: is not":          {group, string(other.member(t, 0))},
		"rln.credentials.leafIndex: is 7 in a":            {group, strings.Replace(credentials, `"leafIndex": 0`, `"leafIndex": 7`, 1)},
	} {
		m, err := rln.NewMembership(strings.NewReader(files[0]), []byte(files[1]))
		if err == nil {
			err = m.Open(taken(t, m).GetCredentials())
		}
		if !errors.Is(err, chatsdk.ErrInvalidArgument) || !strings.HasPrefix(err.Error(), "INVALID_ARGUMENT: "+want) || !strings.Contains(err.Error(), "; ") {
			t.Errorf("got %v, want %q", err, want)
		}
		for cause := err; cause != nil; cause = errors.Unwrap(cause) {
			if printed := fmt.Sprintf("%v %+v", cause, cause); strings.Contains(printed, secret.IdentitySecret[:8]) || strings.Contains(printed, "no JSON ") {
				t.Errorf("quoted: %s", printed)
			}
		}
	}
}

func TestS4_WhatIsNotThereIsAnErrorAndOnlyNilMeansKept(t *testing.T) {
	c := newClub(t, 600, 3)
	var file *os.File
	var reader *bytes.Reader
	for name, group := range map[string]io.Reader{"nil": nil, "a nil file": file, "a nil reader": reader, "a closed file": closedFile(t, c.groupFile())} {
		_, err := rln.NewMembership(group, nil)
		if !errors.Is(err, chatsdk.ErrInvalidArgument) || !strings.Contains(err.Error(), "rln.group: ") {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := rln.NewMembership(bytes.NewReader(c.group(t)), []byte{}); !errors.Is(err, chatsdk.ErrInvalidArgument) || !strings.Contains(err.Error(), "rln.credentials: empty") {
		t.Errorf("got %v", err)
	}
	var none rln.Membership
	_, ofLimit := none.RateLimit()
	_, ofProof := none.Prove(t.Context(), request)
	for _, err := range []error{ofLimit, ofProof, none.Open(nil)} {
		if !errors.Is(err, chatsdk.ErrInvalidArgument) || !strings.Contains(err.Error(), "NewMembership") {
			t.Errorf("got %v", err)
		}
	}
	if err := none.Close(); err != nil {
		t.Error(err)
	}
	// Through a client, which is to leave no lock behind.
	path := filepath.Join(t.TempDir(), "chat.db")
	for _, given := range []*rln.Membership{nil, {}, nil} {
		if _, err := chatsdk.Open(t.Context(), settings(t, path, "/ip4/127.0.0.1/tcp/1", given)); !errors.Is(err, chatsdk.ErrInvalidArgument) || !strings.Contains(strings.ToLower(err.Error()), "rln: ") {
			t.Errorf("got %v", err)
		}
	}
	if _, err := os.Stat(path); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a database was made: %v", err)
	}
}

func closedFile(t *testing.T, path string) *os.File {
	file, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := file.Close(); err != nil {
		t.Fatal(err)
	}
	return file
}

func TestS1_AMembershipIsOfOneClient(t *testing.T) {
	c := newClub(t, 600, 3)
	m := membership(t, c, nil)
	if _, err := m.Prove(t.Context(), request); !errors.Is(err, chatsdk.ErrInvalidArgument) {
		t.Errorf("before Open: %v", err)
	}
	taken(t, m)
	if _, err := m.RateLimit(); !errors.Is(err, chatsdk.ErrInvalidArgument) || !strings.Contains(err.Error(), "another client's") {
		t.Errorf("taken twice: %v", err)
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
	if _, err := m.RateLimit(); !errors.Is(err, chatsdk.ErrClosed) {
		t.Errorf("taken after Close: %v", err)
	}
}

func TestS1_AnotherClientsFailureLeavesTheFirstItsProver(t *testing.T) {
	c := newClub(t, 600, 3)
	folder := t.TempDir()
	const nobody = "/ip4/127.0.0.1/tcp/1/p2p/16Uiu2HAmPLe7Mzm8TsYUubgCAW1aJoeFScxrLj8ppHFivPo97bUZ"
	m := membership(t, c, c.member(t, 0))
	first, err := chatsdk.Open(t.Context(), settings(t, filepath.Join(folder, "first.db"), nobody, m))
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := first.Close(); err != nil {
			t.Error(err)
		}
	}()
	_, err = chatsdk.Open(t.Context(), settings(t, filepath.Join(folder, "second.db"), nobody, m))
	if !errors.Is(err, chatsdk.ErrInvalidArgument) || !strings.Contains(err.Error(), "another client's") {
		t.Errorf("got %v", err)
	}
	if proof, err := m.Prove(t.Context(), request); err != nil || len(proof) != 335 {
		t.Errorf("%d bytes, %v", len(proof), err)
	}
}

func TestS3_AMembershipPrintsNoSecret(t *testing.T) {
	c := newClub(t, 600, 3)
	m := membership(t, c, c.member(t, 0))
	var log bytes.Buffer
	slog.New(slog.NewTextHandler(&log, nil)).Info("x", "rln", m, "options", chatsdk.Options{RLN: m})
	slog.New(slog.NewJSONHandler(&log, nil)).Info("x", "rln", m)
	slog.New(slog.NewTextHandler(&log, nil)).Info("x", "copy", *m)
	limit := taken(t, m)
	for range 2 {
		fmt.Fprintf(&log, "%v %+v %#v %s %x %d %v", m, m, m, m, m, m, chatsdk.Options{RLN: m})
		fmt.Fprintf(&log, "%v %+v %#v %s %x %d %v", *m, *m, *m, *m, *m, *m, struct{ of rln.Membership }{*m})
		if err := m.Open(limit.GetCredentials()); err != nil && !errors.Is(err, chatsdk.ErrInvalidArgument) {
			t.Error(err)
		}
	}
	printed, asBytes := log.String(), strings.Trim(fmt.Sprint([]byte("identitySecret")), "[]")
	if strings.Contains(printed, "identitySecret") || strings.Contains(printed, fmt.Sprintf("%x", "identitySecret")) || strings.Contains(printed, asBytes) || !strings.Contains(printed, "rln.Membership") {
		t.Errorf("printed: %s", printed)
	}
}
