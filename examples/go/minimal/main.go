// Private chat: `minimal alice` prints an invite link, `minimal bob LINK` accepts it. Then type; an empty line ends it.
package main

import (
	"bufio"
	"cmp"
	"context"
	"fmt"
	"os"

	sdk "chatsdk"
	"chatsdk/keys"
)

func main() {
	ctx, peers := context.Background(), []string{cmp.Or(os.Getenv("WAKU_NODE"), "/ip4/127.0.0.1/tcp/24201/ws")}
	chat := sdk.Must(sdk.Open(ctx, sdk.Options{Path: os.Args[1] + ".db", StorageKey: keys.Unprotected(), Peers: peers}))
	defer chat.Close()
	me := sdk.Must(chat.DefaultAccount(ctx))
	if talks := sdk.Must(chat.Conversations(ctx, me.ID)); len(talks) == 0 && len(os.Args) > 2 {
		sdk.Must(chat.AcceptInvite(ctx, me.ID, os.Args[2], sdk.Text("Hello!")))
	} else if len(talks) == 0 {
		fmt.Println("Share this link:", sdk.Must(chat.CreateInvite(ctx, me.ID, sdk.InviteOptions{})).Link)
	}
	go func() {
		for event := range chat.Events(ctx) {
			if heard, ok := event.(sdk.MessageReceived); ok && heard.Message.Text != "" {
				fmt.Println("<", heard.Message.Text)
			} else if sent, ok := event.(sdk.MessageStatusChanged); ok {
				fmt.Println("  ✓", sent.Status)
			}
		}
	}()
	for input := bufio.NewScanner(os.Stdin); input.Scan() && input.Text() != ""; {
		for _, talk := range sdk.Must(chat.Conversations(ctx, me.ID)) {
			sdk.Must(chat.Send(ctx, talk.ID, sdk.Text(input.Text())))
		}
	}
}
