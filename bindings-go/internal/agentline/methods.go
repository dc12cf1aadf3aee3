package agentline

import (
	"bytes"
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"log/slog"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"

	"google.golang.org/protobuf/encoding/protojson"

	"chatsdk"
	"chatsdk/abi"
	"chatsdk/keys"
)

// client is the agent's one client; it stays after close, so that calls fail with CLOSED.
type client struct {
	*chatsdk.Client
	loop   sync.WaitGroup
	closed bool
}

func (c *client) close() error {
	if c.Client == nil {
		return nil
	}
	c.closed = true
	err := c.Close()
	c.loop.Wait()
	return err
}

type openParams struct {
	Path           string          `json:"path"`
	StorageKey     json.RawMessage `json:"storageKey"`
	Peers          []string        `json:"peers"`
	ClusterID      *uint16         `json:"clusterId"`
	ShardCount     *uint16         `json:"shardCount"`
	Protocol       json.RawMessage `json:"protocol"`
	Transport      string          `json:"transport"`
	AcceptRollback bool            `json:"acceptRollback"`
	Events         *bool           `json:"events"`
	RLN            *rlnParams      `json:"rln"`
}

func (a *Agent) open(p params) (any, error) {
	given := openParams{Transport: "light"}
	if err := p.into(&given); err != nil {
		return nil, err
	}
	makeTransport, known := a.transports[given.Transport]
	if !known {
		return nil, agentError("transport: there is no %q here", given.Transport)
	}
	if a.client.Client != nil && !a.client.closed {
		return nil, agentError("open: a client is open")
	}
	options := chatsdk.Options{
		Path: given.Path, StorageKey: keyOf(given.StorageKey), ClusterID: 42, ShardCount: 8, AcceptRollback: given.AcceptRollback,
		Logger: slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelWarn})),
	}
	if given.ClusterID != nil {
		options.ClusterID = *given.ClusterID
	}
	if given.ShardCount != nil {
		options.ShardCount = *given.ShardCount
	}
	if len(given.Protocol) > 0 {
		options.Protocol = &abi.Config{}
		if err := protojson.Unmarshal(given.Protocol, options.Protocol); err != nil {
			return nil, agentError("protocol: %v", err)
		}
	}
	settings := TransportSettings{Peers: given.Peers, ClusterID: options.ClusterID, ShardCount: options.ShardCount}
	if given.RLN != nil {
		membership, err := a.membership(*given.RLN)
		if err != nil {
			return nil, err
		}
		options.RLN, settings.Prover = membership, membership
	}
	var err error
	if options.Transport, err = makeTransport(settings); err != nil {
		if options.RLN != nil {
			err = errors.Join(err, options.RLN.Close())
		}
		return nil, err
	}
	opened, err := chatsdk.Open(context.Background(), options)
	if err != nil {
		return nil, err
	}
	a.client.Client, a.client.closed = opened, false
	if given.Events == nil || *given.Events {
		a.client.loop.Go(func() { a.tell(opened) })
	}
	return nil, nil
}

// tell writes the events; asking for the next one acknowledges the one before.
func (a *Agent) tell(opened *chatsdk.Client) {
	for event, err := range opened.Events(context.Background()) {
		if err == nil {
			if shape := eventShape(event); shape != nil {
				err = a.write(map[string]any{"event": shape})
			}
		}
		if err != nil {
			slog.Error("events", "error", err)
			os.Exit(2)
		}
	}
}

// keyOf gives the SDK what was given as far as Go can express it.
func keyOf(raw json.RawMessage) keys.Key {
	var given struct {
		Passphrase  *string `json:"passphrase"`
		RawKey      *string `json:"rawKey"`
		Unprotected bool    `json:"unprotected"`
		Keyring     *struct {
			Service string `json:"service"`
			Account string `json:"account"`
		} `json:"keyring"`
	}
	var fields map[string]json.RawMessage
	if json.Unmarshal(raw, &given) != nil || json.Unmarshal(raw, &fields) != nil || len(fields) != 1 {
		return keys.Key{}
	}
	switch {
	case given.Passphrase != nil:
		return keys.Passphrase(*given.Passphrase)
	case given.RawKey != nil:
		bytes, err := hex.DecodeString(*given.RawKey)
		if err != nil {
			return keys.Key{}
		}
		return keys.Raw(bytes)
	case given.Keyring != nil:
		return keys.Keyring(given.Keyring.Service, given.Keyring.Account)
	case given.Unprotected:
		return keys.Unprotected()
	}
	return keys.Key{}
}

func (a *Agent) handle(method string, p params) (any, error) {
	switch method {
	case "open":
		return a.open(p)
	case "storeOpen":
		return a.storeOpen(p)
	case "store":
		return a.storeCall(p)
	case "close":
		return nil, a.client.close()
	}
	if a.client.Client == nil {
		return nil, agentError("%s: no client was opened", method)
	}
	handler, known := methods[method]
	if !known {
		return nil, agentError("method: there is no %q", method)
	}
	return handler(context.Background(), a.client.Client, p)
}

type handler func(ctx context.Context, client *chatsdk.Client, p params) (any, error)

// withTexts is a method whose parameters are all texts.
func withTexts(names []string, call func(ctx context.Context, client *chatsdk.Client, texts map[string]string) (any, error)) handler {
	return func(ctx context.Context, client *chatsdk.Client, p params) (any, error) {
		texts, err := need[string](p, names...)
		if err != nil {
			return nil, err
		}
		return call(ctx, client, texts)
	}
}

var methods = map[string]handler{
	"defaultAccount": func(ctx context.Context, client *chatsdk.Client, _ params) (any, error) {
		return shaped(accountShape)(client.DefaultAccount(ctx))
	},
	"createAccount": func(ctx context.Context, client *chatsdk.Client, _ params) (any, error) {
		return shaped(accountShape)(client.CreateAccount(ctx))
	},
	"accounts": func(ctx context.Context, client *chatsdk.Client, _ params) (any, error) {
		return listed(accountShape)(client.Accounts(ctx))
	},
	"deleteAccount": withTexts([]string{"accountId"}, func(ctx context.Context, client *chatsdk.Client, texts map[string]string) (any, error) {
		return nil, client.DeleteAccount(ctx, texts["accountId"])
	}),
	"createInvite": func(ctx context.Context, client *chatsdk.Client, p params) (any, error) {
		var given struct {
			AccountID  string  `json:"accountId"`
			ValidForMs float64 `json:"validForMs"`
			Reusable   bool    `json:"reusable"`
		}
		if err := p.into(&given); err != nil {
			return nil, err
		}
		options := chatsdk.InviteOptions{ValidFor: time.Duration(given.ValidForMs * float64(time.Millisecond)), Reusable: given.Reusable}
		return shaped(inviteShape)(client.CreateInvite(ctx, given.AccountID, options))
	},
	"invites": withTexts([]string{"accountId"}, func(ctx context.Context, client *chatsdk.Client, texts map[string]string) (any, error) {
		return listed(inviteShape)(client.Invites(ctx, texts["accountId"]))
	}),
	"revokeInvite": withTexts([]string{"inviteId"}, func(ctx context.Context, client *chatsdk.Client, texts map[string]string) (any, error) {
		return nil, client.RevokeInvite(ctx, texts["inviteId"])
	}),
	"inspectInvite": withTexts([]string{"link"}, func(ctx context.Context, client *chatsdk.Client, texts map[string]string) (any, error) {
		return shaped(inviteDetailsShape)(client.InspectInvite(ctx, texts["link"]))
	}),
	"acceptInvite": func(ctx context.Context, client *chatsdk.Client, p params) (any, error) {
		texts, err := need[string](p, "accountId", "link")
		if err != nil {
			return nil, err
		}
		content, err := contentParam(p)
		if err != nil {
			return nil, err
		}
		return shaped(conversationShape)(client.AcceptInvite(ctx, texts["accountId"], texts["link"], content))
	},
	"conversations": func(ctx context.Context, client *chatsdk.Client, p params) (any, error) {
		var given struct {
			AccountID string `json:"accountId"`
		}
		if err := p.into(&given); err != nil {
			return nil, err
		}
		return listed(conversationShape)(client.Conversations(ctx, given.AccountID))
	},
	"conversation": withTexts([]string{"conversationId"}, func(ctx context.Context, client *chatsdk.Client, texts map[string]string) (any, error) {
		return shaped(conversationShape)(client.Conversation(ctx, texts["conversationId"]))
	}),
	"deleteConversation": withTexts([]string{"conversationId"}, func(ctx context.Context, client *chatsdk.Client, texts map[string]string) (any, error) {
		return nil, client.DeleteConversation(ctx, texts["conversationId"])
	}),
	"safetyNumber": withTexts([]string{"conversationId"}, func(ctx context.Context, client *chatsdk.Client, texts map[string]string) (any, error) {
		return client.SafetyNumber(ctx, texts["conversationId"])
	}),
	"setVerified": func(ctx context.Context, client *chatsdk.Client, p params) (any, error) {
		texts, err := need[string](p, "conversationId")
		if err != nil {
			return nil, err
		}
		flags, err := need[bool](p, "verified")
		if err != nil {
			return nil, err
		}
		return nil, client.SetVerified(ctx, texts["conversationId"], flags["verified"])
	},
	"repairConversation": withTexts([]string{"conversationId"}, func(ctx context.Context, client *chatsdk.Client, texts map[string]string) (any, error) {
		return nil, client.RepairConversation(ctx, texts["conversationId"])
	}),
	"acceptRepair": withTexts([]string{"conversationId"}, func(ctx context.Context, client *chatsdk.Client, texts map[string]string) (any, error) {
		return nil, client.AcceptRepair(ctx, texts["conversationId"])
	}),
	"send": func(ctx context.Context, client *chatsdk.Client, p params) (any, error) {
		texts, err := need[string](p, "conversationId")
		if err != nil {
			return nil, err
		}
		content, err := contentParam(p)
		if err != nil {
			return nil, err
		}
		return shaped(messageShape)(client.Send(ctx, texts["conversationId"], content))
	},
	"cancel": withTexts([]string{"conversationId", "messageId"}, func(ctx context.Context, client *chatsdk.Client, texts map[string]string) (any, error) {
		return nil, client.Cancel(ctx, texts["conversationId"], texts["messageId"])
	}),
	"markRead": func(ctx context.Context, client *chatsdk.Client, p params) (any, error) {
		texts, err := need[string](p, "conversationId", "messageId")
		if err != nil {
			return nil, err
		}
		given := struct {
			SendReceipt bool `json:"sendReceipt"`
		}{true}
		if err := p.into(&given); err != nil {
			return nil, err
		}
		if given.SendReceipt {
			return nil, client.MarkRead(ctx, texts["conversationId"], texts["messageId"])
		}
		return nil, client.MarkReadSilently(ctx, texts["conversationId"], texts["messageId"])
	},
	"messages": func(ctx context.Context, client *chatsdk.Client, p params) (any, error) {
		texts, err := need[string](p, "conversationId")
		if err != nil {
			return nil, err
		}
		page, err := pageParam(p)
		if err != nil {
			return nil, err
		}
		return listed(messageShape)(client.Messages(ctx, texts["conversationId"], page))
	},
	"message": withTexts([]string{"conversationId", "messageId"}, func(ctx context.Context, client *chatsdk.Client, texts map[string]string) (any, error) {
		return shaped(messageShape)(client.Message(ctx, texts["conversationId"], texts["messageId"]))
	}),
	"unreadCount": withTexts([]string{"conversationId"}, func(ctx context.Context, client *chatsdk.Client, texts map[string]string) (any, error) {
		return client.UnreadCount(ctx, texts["conversationId"])
	}),
	"search": func(ctx context.Context, client *chatsdk.Client, p params) (any, error) {
		texts, err := need[string](p, "query")
		if err != nil {
			return nil, err
		}
		var given struct {
			ConversationID string `json:"conversationId"`
		}
		if err := p.into(&given); err != nil {
			return nil, err
		}
		page, err := pageParam(p)
		if err != nil {
			return nil, err
		}
		return listed(messageShape)(client.Search(ctx, texts["query"], given.ConversationID, page))
	},
	"changeStorageKey": func(ctx context.Context, client *chatsdk.Client, p params) (any, error) {
		given, err := need[json.RawMessage](p, "oldKey", "newKey")
		if err != nil {
			return nil, err
		}
		return nil, client.ChangeStorageKey(ctx, keyOf(given["oldKey"]), keyOf(given["newKey"]))
	},
	"quota": func(ctx context.Context, client *chatsdk.Client, _ params) (any, error) {
		quota, err := client.Quota(ctx)
		if err != nil || !quota.Limited {
			return nil, err
		}
		return shape{"limit": quota.Limit, "remaining": quota.Remaining, "renewsAt": millis(quota.RenewsAt), "waiting": quota.Waiting}, nil
	},
	"stats": func(_ context.Context, client *chatsdk.Client, _ params) (any, error) {
		stats := client.Stats()
		resident, err := residentBytes()
		return map[string]any{"online": stats.Online, "moduleBytes": stats.ModuleBytes, "residentBytes": resident}, err
	},
}

func pageParam(p params) (chatsdk.Page, error) {
	var given struct {
		Before *struct {
			ID      string `json:"id"`
			Lamport string `json:"lamport"`
		} `json:"before"`
		Limit *int `json:"limit"`
	}
	if err := p.into(&given); err != nil {
		return chatsdk.Page{}, err
	}
	page := chatsdk.Page{}
	if given.Limit != nil {
		page.Limit = *given.Limit
		if page.Limit == 0 {
			// 0 stands for the default in Go; the call means a limit out of range.
			page.Limit = -1
		}
	}
	if given.Before != nil {
		lamport, err := strconv.ParseUint(given.Before.Lamport, 10, 64)
		if err != nil {
			return page, agentError("params.before.lamport: %v", err)
		}
		page.Before = &chatsdk.Position{Lamport: lamport, MessageID: given.Before.ID}
	}
	return page, nil
}

// residentBytes is the memory of this process, where the system tells.
func residentBytes() (int64, error) {
	status, err := os.ReadFile("/proc/self/status")
	if errors.Is(err, os.ErrNotExist) {
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	for line := range bytes.Lines(status) {
		if text, found := strings.CutPrefix(string(line), "VmRSS:"); found {
			kib, err := strconv.ParseInt(strings.TrimSpace(strings.TrimSuffix(strings.TrimSpace(text), "kB")), 10, 64)
			return kib * 1024, err
		}
	}
	return 0, nil
}
