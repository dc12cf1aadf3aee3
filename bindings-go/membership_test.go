package chatsdk_test

import (
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"iter"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"chatsdk"
	"chatsdk/abi"
	"chatsdk/internal/fault"
	"chatsdk/internal/localnet"
	"chatsdk/keys"
	"chatsdk/storage/sqlite"
	"chatsdk/waku"
)

const memberLimit = 5

var memberCredentials = []byte(`{"identitySecret":"` + strings.Repeat("c0ffee", 10) + `"}`)

// member is a membership whose group has one member.
type member struct {
	given []byte
	// limit and opened are what the client got and is to wipe.
	limit  *abi.RateLimit
	opened []byte
	opens  int
	closes int
	// onOpen is called by Open.
	onOpen func()
}

func (m *member) RateLimit() (*abi.RateLimit, error) {
	if m.limit != nil {
		return nil, fault.New(abi.ErrorCode_INVALID_ARGUMENT, "rln: the membership is another client's")
	}
	m.limit = &abi.RateLimit{EpochSeconds: 600}
	if m.given != nil {
		m.limit.MessagesPerEpoch, m.limit.Credentials = memberLimit, bytes.Clone(m.given)
	}
	return m.limit, nil
}

func (m *member) Open(credentials []byte) error {
	m.opens++
	m.opened = credentials
	if m.onOpen != nil {
		m.onOpen()
	}
	if !bytes.Equal(credentials, memberCredentials) {
		return fault.New(abi.ErrorCode_INVALID_ARGUMENT, "rln.credentials: not those of a member; give the member's file")
	}
	return nil
}

func (*member) Prove(context.Context, waku.ProofRequest) ([]byte, error) { return []byte{1}, nil }

func (m *member) Close() error {
	m.closes++
	return nil
}

func (m *member) isWiped(t *testing.T) {
	t.Helper()
	for name, left := range map[string][]byte{"of Open": m.opened, "of RateLimit": m.limit.GetCredentials()} {
		if len(bytes.Trim(left, "\x00")) > 0 {
			t.Errorf("the credentials %s are still there: %q", name, left)
		}
	}
}

// watched tells whether the network was entered.
type watched struct {
	abi.Transport
	started atomic.Bool
}

// Start notes it.
func (w *watched) Start(ctx context.Context) iter.Seq2[*abi.TransportEvent, error] {
	w.started.Store(true)
	return w.Transport.Start(ctx)
}

func withMember(t *testing.T, network *localnet.Network, path string, given []byte) (chatsdk.Options, *member) {
	t.Helper()
	settings, m := options(t, network, path), &member{given: given}
	settings.RLN = m
	return settings, m
}

func limitOf(t *testing.T, p *person) chatsdk.Quota {
	t.Helper()
	quota, err := p.Quota(t.Context())
	if err != nil || !quota.Limited || quota.Limit != memberLimit {
		t.Fatalf("%+v, %v", quota, err)
	}
	return quota
}

func TestS1_CredentialsAreGivenOnceAndComeFromTheDatabaseThen(t *testing.T) {
	path := filepath.Join(t.TempDir(), "chat.db")
	for _, given := range [][]byte{memberCredentials, nil, nil, memberCredentials} {
		settings, m := withMember(t, localnet.New(), path, given)
		p := join(t, settings)
		limitOf(t, p)
		m.isWiped(t)
		if p.close(); m.opens != 1 || m.closes != 1 {
			t.Errorf("opened %d times, closed %d times", m.opens, m.closes)
		}
	}
}

func TestS1_WithNoneOrWrongCredentialsNothingOpensAndNothingIsPublished(t *testing.T) {
	network := localnet.New()
	folder := t.TempDir()
	path := filepath.Join(folder, "bob.db")
	settings, _ := withMember(t, network, path, memberCredentials)
	bob := join(t, settings)
	alicePath := filepath.Join(folder, "alice.db")
	alice := join(t, options(t, network, alicePath))
	conversation := meet(alice, bob)
	alice.close()
	network.SetDown(true)
	bob.says(conversation.ID, "waits for the network")
	bob.close()
	network.SetDown(false)
	before := len(network.Envelopes())

	fresh := filepath.Join(folder, "fresh.db")
	for name, attempt := range map[string]struct {
		path  string
		given []byte
	}{
		"none, in a new database": {fresh, nil},
		"wrong, in a new one":     {fresh, []byte("wrong")},
		"wrong, with others kept": {path, []byte("wrong")},
	} {
		settings, m := withMember(t, network, attempt.path, attempt.given)
		transport := &watched{Transport: settings.Transport}
		settings.Transport = transport
		_, err := chatsdk.Open(t.Context(), settings)
		wantError(t, err, chatsdk.ErrInvalidArgument)
		if !strings.Contains(err.Error(), "rln.credentials") {
			t.Errorf("%s: %v", name, err)
		}
		if m.isWiped(t); transport.started.Load() || m.closes != 1 {
			t.Errorf("%s: started: %v, closed %d times", name, transport.started.Load(), m.closes)
		}
	}
	if after := len(network.Envelopes()); after != before {
		t.Errorf("%d messages were published", after-before)
	}
	if _, err := os.Stat(fresh); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a database was made: %v", err)
	}
	// The wrong ones have not taken the place of those kept.
	settings, _ = withMember(t, network, path, nil)
	limitOf(t, join(t, settings))
	join(t, options(t, network, alicePath)).hears("waits for the network")
}

func TestS1_AMembershipOfAnotherClientStaysThatClients(t *testing.T) {
	network := localnet.New()
	folder := t.TempDir()
	settings, m := withMember(t, network, filepath.Join(folder, "first.db"), memberCredentials)
	first := join(t, settings)
	for range 2 {
		second := options(t, network, filepath.Join(folder, "second.db"))
		second.RLN = m
		_, err := chatsdk.Open(t.Context(), second)
		wantError(t, err, chatsdk.ErrInvalidArgument)
		if !strings.Contains(err.Error(), "another client's") {
			t.Errorf("got %v", err)
		}
	}
	if m.closes != 0 {
		t.Errorf("closed %d times by others", m.closes)
	}
	if _, err := os.Stat(filepath.Join(folder, "second.db")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a database was made: %v", err)
	}
	limitOf(t, first)
	if first.close(); m.closes != 1 {
		t.Errorf("closed %d times", m.closes)
	}
}

// A database is bound to its key by its header, which comes after everything that may fail.
func TestS4_AFirstOpeningThatFailsBindsTheDatabaseToNoKey(t *testing.T) {
	for name, spoil := range map[string]func(*chatsdk.Options, *member){
		"no credentials":    func(_ *chatsdk.Options, m *member) { m.given = nil },
		"wrong credentials": func(_ *chatsdk.Options, m *member) { m.given = []byte("wrong") },
		"a wrong setting":   func(o *chatsdk.Options, _ *member) { o.Protocol = &abi.Config{AppName: "no such name"} },
		"too long an epoch": func(o *chatsdk.Options, _ *member) {
			o.RLN, o.Protocol = nil, &abi.Config{RateLimit: &abi.RateLimit{EpochSeconds: 86_401}}
		},
	} {
		path := filepath.Join(t.TempDir(), "chat.db")
		for _, interrupted := range []bool{false, true} {
			if interrupted {
				// As a crash leaves it, between making the file and the header.
				file, err := sqlite.Open(path, sqlite.Options{Create: true})
				if err != nil {
					t.Fatal(err)
				}
				if err := file.Close(t.Context()); err != nil {
					t.Fatal(err)
				}
			}
			settings, m := withMember(t, localnet.New(), path, memberCredentials)
			spoil(&settings, m)
			settings.StorageKey = keys.Raw(bytes.Repeat([]byte{1}, keys.Length))
			_, err := chatsdk.Open(t.Context(), settings)
			wantError(t, err, chatsdk.ErrInvalidArgument)
		}
		settings, _ := withMember(t, localnet.New(), path, memberCredentials)
		settings.StorageKey = keys.Raw(bytes.Repeat([]byte{2}, keys.Length))
		client, err := chatsdk.Open(t.Context(), settings)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if err := client.Close(); err != nil {
			t.Error(err)
		}
	}
}

func TestS4_ANilMembershipIsRefusedAndOneThatPanicsLeavesNoLock(t *testing.T) {
	path := filepath.Join(t.TempDir(), "chat.db")
	settings, _ := withMember(t, localnet.New(), path, memberCredentials)
	join(t, settings).close()

	settings = options(t, localnet.New(), path)
	settings.RLN = (*member)(nil)
	_, err := chatsdk.Open(t.Context(), settings)
	wantError(t, err, chatsdk.ErrInvalidArgument)
	if !strings.Contains(err.Error(), "RLN: a *chatsdk_test.member that is nil") {
		t.Errorf("got %v", err)
	}

	settings, m := withMember(t, localnet.New(), path, nil)
	m.onOpen = func() { panic("injected") }
	func() {
		defer func() {
			if recover() != "injected" {
				t.Error("the panic was swallowed")
			}
		}()
		_, _ = chatsdk.Open(t.Context(), settings)
	}()
	if m.closes != 1 {
		t.Errorf("closed %d times", m.closes)
	}
	settings, _ = withMember(t, localnet.New(), path, nil)
	limitOf(t, join(t, settings))
}

func TestS1_AMembershipIsTheOnlyOneToSayWhatTheLimitIs(t *testing.T) {
	for want, change := range map[string]func(*chatsdk.Options){
		"RLN: Protocol.RateLimit": func(o *chatsdk.Options) { o.Protocol = &abi.Config{RateLimit: &abi.RateLimit{}} },
		"RLN: Waku.Prover":        func(o *chatsdk.Options) { o.Waku.Prover = &member{} },
	} {
		settings, m := withMember(t, localnet.New(), filepath.Join(t.TempDir(), "chat.db"), memberCredentials)
		change(&settings)
		_, err := chatsdk.Open(t.Context(), settings)
		wantError(t, err, chatsdk.ErrInvalidArgument)
		if !strings.Contains(err.Error(), want) || m.opens != 0 || m.closes != 1 {
			t.Errorf("%v; opened %d times, closed %d times", err, m.opens, m.closes)
		}
		if _, err := os.Stat(settings.Path); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("a database was made: %v", err)
		}
	}
}

func TestS3_TheCredentialsAreNotInTheDatabaseInTheClear(t *testing.T) {
	folder := t.TempDir()
	settings, _ := withMember(t, localnet.New(), filepath.Join(folder, "chat.db"), memberCredentials)
	p := join(t, settings)
	look := func() {
		t.Helper()
		files, err := os.ReadDir(folder)
		if err != nil || len(files) == 0 {
			t.Fatalf("%v, %v", files, err)
		}
		secret, err := hex.DecodeString(strings.Repeat("c0ffee", 10))
		if err != nil {
			t.Fatal(err)
		}
		for _, file := range files {
			content, err := os.ReadFile(filepath.Join(folder, file.Name()))
			if err != nil {
				t.Fatal(err)
			}
			if bytes.Contains(content, []byte("c0ffee")) || bytes.Contains(content, secret[:16]) {
				t.Errorf("%s holds the secret", file.Name())
			}
		}
	}
	look()
	p.close()
	look()
}

func TestS4_ACoreThatIsStartedAgainKeepsTheMembershipsLimit(t *testing.T) {
	network := localnet.New()
	folder := t.TempDir()
	file, err := sqlite.Open(filepath.Join(folder, "bob.db"), sqlite.Options{Create: true})
	if err != nil {
		t.Fatal(err)
	}
	storage := &hookedStorage{Storage: file}
	settings, m := withMember(t, network, "", memberCredentials)
	settings.Storage = storage
	bob := join(t, settings)
	alice := join(t, options(t, network, filepath.Join(folder, "alice.db")))
	conversation := meet(alice, bob)
	remaining := limitOf(t, bob).Remaining
	once(&storage.onRead, func() error { panic("injected") })
	if _, err := bob.Send(t.Context(), conversation.ID, chatsdk.Text("again")); errors.Is(err, chatsdk.ErrInternal) {
		bob.says(conversation.ID, "again")
	} else if err != nil {
		t.Fatal(err)
	}
	alice.hears("again")
	if after := limitOf(t, bob).Remaining; after >= remaining {
		t.Errorf("%d slots before, %d after", remaining, after)
	}
	m.isWiped(t)
}
