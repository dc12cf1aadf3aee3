package rln_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log"
	"os"
	"time"

	"chatsdk"
	"chatsdk/keys"
	"chatsdk/waku/rln"
)

func ExampleNewMembership() {
	group, err := os.ReadFile("group.json")
	if err != nil {
		log.Fatal(err)
	}
	// Only at the first start is there a file; the database has the credentials then, and the file can be deleted.
	credentials, err := os.ReadFile("member-0.json")
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		log.Fatal(err)
	}
	membership, err := rln.NewMembership(bytes.NewReader(group), credentials)
	if err != nil {
		log.Fatal(err)
	}
	clear(credentials)
	client, err := chatsdk.Open(context.Background(), chatsdk.Options{
		Path:       "alice.db",
		StorageKey: keys.Passphrase(os.Getenv("ALICE_PASSPHRASE")),
		Peers:      []string{"/ip4/127.0.0.1/tcp/60000"},
		RLN:        membership,
	})
	if err != nil {
		log.Fatal(err)
	}
	defer func() {
		if err := client.Close(); err != nil {
			log.Print(err)
		}
	}()
	for event, err := range client.Events(context.Background()) {
		if err != nil {
			log.Fatal(err)
		}
		if event, ok := event.(chatsdk.QuotaChanged); ok && event.Exhausted {
			fmt.Println("messages wait for", event.RenewsAt.Format(time.TimeOnly))
		}
	}
}
