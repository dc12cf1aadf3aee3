package agentline

import (
	"context"
	"encoding/hex"

	"google.golang.org/protobuf/proto"

	"chatsdk/abi"
	"chatsdk/storage/sqlite"
)

func (a *Agent) storeOpen(p params) (any, error) {
	texts, err := need[string](p, "path")
	if err != nil {
		return nil, err
	}
	if a.store != nil {
		if _, err := a.store.GetHeader(context.Background()); err == nil {
			return nil, agentError("storeOpen: a store is open")
		}
	}
	opened, err := sqlite.Open(texts["path"], sqlite.Options{Create: true})
	if err != nil {
		return nil, err
	}
	a.store = opened
	return nil, nil
}

func (a *Agent) storeCall(p params) (any, error) {
	var given struct {
		Method  string   `json:"method"`
		Request hexBytes `json:"request"`
	}
	if err := p.into(&given); err != nil {
		return nil, err
	}
	if a.store == nil {
		return nil, agentError("store: none was opened")
	}
	ctx := context.Background()
	var response proto.Message
	var err error
	switch given.Method {
	case "GetHeader":
		response, err = a.store.GetHeader(ctx)
	case "PutHeader":
		response, err = serve(ctx, given.Request, done(a.store.PutHeader))
	case "Read":
		response, err = serve(ctx, given.Request, a.store.Read)
	case "Commit":
		response, err = serve(ctx, given.Request, done(a.store.Commit))
	case "ListConversations":
		response, err = serve(ctx, given.Request, a.store.ListConversations)
	case "GetConversation":
		response, err = serve(ctx, given.Request, a.store.GetConversation)
	case "GetMessage":
		response, err = serve(ctx, given.Request, a.store.GetMessage)
	case "ListMessages":
		response, err = serve(ctx, given.Request, a.store.ListMessages)
	case "CountUnread":
		response, err = serve(ctx, given.Request, a.store.CountUnread)
	case "SearchMessages":
		response, err = serve(ctx, given.Request, a.store.SearchMessages)
	case "Close":
		response, err = &abi.Done{}, a.store.Close(ctx)
	default:
		return nil, agentError("store: there is no method %q", given.Method)
	}
	if err != nil {
		return nil, err
	}
	encoded, err := proto.Marshal(response)
	return hex.EncodeToString(encoded), err
}

func serve[Request any, Pointer interface {
	*Request
	proto.Message
}, Response proto.Message](ctx context.Context, encoded []byte, call func(context.Context, Pointer) (Response, error)) (proto.Message, error) {
	request := Pointer(new(Request))
	if err := proto.Unmarshal(encoded, request); err != nil {
		return nil, agentError("store: the request does not decode: %v", err)
	}
	return call(ctx, request)
}

func done[Request any](call func(context.Context, Request) error) func(context.Context, Request) (*abi.Done, error) {
	return func(ctx context.Context, request Request) (*abi.Done, error) {
		return &abi.Done{}, call(ctx, request)
	}
}
