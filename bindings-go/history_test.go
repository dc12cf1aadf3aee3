package chatsdk_test

import (
	"context"
	"fmt"
	"iter"
	"path/filepath"
	"slices"
	"testing"

	"chatsdk/abi"
	"chatsdk/internal/localnet"
)

// bulky answers a history query with one batch, whose first 80 MB are nobody's.
type bulky struct{ abi.Transport }

func (b bulky) QueryHistory(ctx context.Context, query *abi.QueryHistory) iter.Seq2[*abi.EnvelopeBatch, error] {
	return func(yield func(*abi.EnvelopeBatch, error) bool) {
		all := &abi.EnvelopeBatch{}
		for range 550 {
			all.Envelopes = append(all.Envelopes, &abi.EnvelopeReceived{Topic: query.GetTopics()[0], Payload: make([]byte, 150_000)})
		}
		for batch, err := range b.Transport.QueryHistory(ctx, query) {
			if err != nil {
				yield(nil, err)
				return
			}
			all.Envelopes = append(all.Envelopes, batch.GetEnvelopes()...)
		}
		yield(all, nil)
	}
}

func TestF3_ABatchOfHistoryMayBeLargerThanTheModule(t *testing.T) {
	network := localnet.New()
	folder := t.TempDir()
	alice := join(t, options(t, network, filepath.Join(folder, "alice.db")))
	settings := options(t, network, filepath.Join(folder, "bob.db"))
	bob := join(t, settings)
	conversation := meet(alice, bob)
	if err := bob.Close(); err != nil {
		t.Fatal(err)
	}
	var texts []string
	for i := range 20 {
		texts = append(texts, fmt.Sprint("missed ", i))
		alice.says(conversation.ID, texts[i])
	}
	// Only history has them.
	if err := alice.Close(); err != nil {
		t.Fatal(err)
	}
	settings.Transport = bulky{network.Transport()}
	bob = join(t, settings)
	bob.hears(texts[19])
	if heard := bob.heardTexts(); !slices.Equal(heard[len(heard)-20:], texts) {
		t.Error(heard)
	}
}
