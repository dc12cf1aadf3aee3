package chatsdk_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log"
	"log/slog"
	"os"

	"chatsdk"
	"chatsdk/keys"
	"chatsdk/waku"
)

func ExampleOpen() {
	ctx := context.Background()
	client, err := chatsdk.Open(ctx, chatsdk.Options{
		Path:       "alice.db",
		StorageKey: keys.Passphrase(os.Getenv("ALICE_PASSPHRASE")),
		Peers:      []string{"/dns4/node.example/tcp/8000/wss/p2p/16Uiu2HAm..."},
		Logger:     slog.Default(),
	})
	switch {
	case errors.Is(err, chatsdk.ErrWrongKey):
		log.Fatal("that is not the passphrase")
	case errors.Is(err, chatsdk.ErrDatabaseLocked):
		log.Fatal("close the other window first")
	case err != nil:
		log.Fatal(err)
	}
	defer func() {
		if err := client.Close(); err != nil {
			log.Print(err)
		}
	}()
	account, err := client.DefaultAccount(ctx)
	if err != nil {
		log.Fatal(err)
	}
	invite, err := client.CreateInvite(ctx, account.ID, chatsdk.InviteOptions{})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println("Share this link:", invite.Link)
}

func ExampleClient_Events() {
	var client *chatsdk.Client // from chatsdk.Open
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	for event, err := range client.Events(ctx) {
		if err != nil {
			log.Print(err)
			return
		}
		switch event := event.(type) {
		case chatsdk.MessageReceived:
			fmt.Println("<", event.Message.Text)
			// Asking for the next event acknowledges this one: after a crash before that, it comes again.
			if err := client.MarkRead(ctx, event.Message.ConversationID, event.Message.ID); err != nil {
				log.Print(err)
			}
		case chatsdk.MessageStatusChanged:
			fmt.Println(event.MessageID, "is", event.Status)
		case chatsdk.MessagesMissing:
			fmt.Println(len(event.MessageIDs), "messages have not arrived yet")
		}
	}
}

func ExampleClient_Send() {
	var client *chatsdk.Client // from chatsdk.Open
	ctx := context.Background()
	conversations, err := client.Conversations(ctx, "")
	if err != nil {
		log.Fatal(err)
	}
	for _, conversation := range conversations {
		message, err := client.Send(ctx, conversation.ID, chatsdk.Text("Good morning"))
		if errors.Is(err, chatsdk.ErrOutboxFull) {
			continue // try again when something is delivered
		}
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println("stored as", message.ID)
	}
}

// Move is a chess move, a content type of an application's own.
type Move struct{ From, To string }

// MoveType says how moves become contents.
var MoveType = chatsdk.ContentType[Move]{
	Domain: 0x63686573, Tag: 1, Version: 1,
	Encode: func(move Move) ([]byte, error) { return json.Marshal(move) },
	Decode: func(payload []byte, _ uint32) (move Move, err error) { return move, json.Unmarshal(payload, &move) },
}

func ExampleContentType() {
	content, err := MoveType.Of(Move{"e2", "e4"}).AsContent()
	if err != nil {
		log.Fatal(err)
	}
	move, ok := MoveType.Read(content)
	fmt.Println(move, ok)
	_, ok = chatsdk.TextType.Read(content)
	fmt.Println(ok)
	// Output:
	// {e2 e4} true
	// false
}

func ExampleClient_Messages() {
	var client *chatsdk.Client // from chatsdk.Open
	page := chatsdk.Page{Limit: 100}
	for {
		messages, err := client.Messages(context.Background(), "0123456789abcdef0123456789abcdef", page)
		if err != nil {
			log.Fatal(err)
		}
		if len(messages) == 0 {
			return
		}
		for _, message := range messages {
			fmt.Println(message.SentAt, message.Text)
		}
		last := messages[len(messages)-1].Position()
		page.Before = &last
	}
}

func ExampleOptions_transport() {
	transport, err := waku.New(waku.Options{Peers: []string{"/ip4/192.0.2.1/tcp/60000/p2p/16Uiu2HAm..."}, MaxPeers: 5})
	if err != nil {
		fmt.Println(errors.Is(err, chatsdk.ErrInvalidArgument))
		return
	}
	_, err = chatsdk.Open(context.Background(), chatsdk.Options{Path: "alice.db", StorageKey: keys.Unprotected(), Transport: transport})
	fmt.Println(err)
	// Output: true
}
