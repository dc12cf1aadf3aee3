package chatsdk

import (
	"context"
	"unicode/utf8"

	"google.golang.org/protobuf/reflect/protoreflect"

	"chatsdk/abi"
	"chatsdk/internal/engine"
	"chatsdk/internal/fault"
)

// core makes calls of the core: abi.ChatCaller.
type core struct {
	engine *engine.Engine
}

// Call refuses what cannot reach the core.
func (c core) Call(ctx context.Context, input *abi.Input) (*abi.Reply, error) {
	if err := checkCall(input); err != nil {
		return nil, named(err)
	}
	reply, err := c.engine.Call(ctx, input)
	return reply, named(err)
}

// checkCall fails with INVALID_ARGUMENT, naming the field, for text that is no UTF-8.
func checkCall(input *abi.Input) error {
	message := input.ProtoReflect()
	call := message.WhichOneof(message.Descriptor().Oneofs().ByName("input"))
	arguments := message.Get(call).Message()
	for i := range arguments.Descriptor().Fields().Len() {
		field := arguments.Descriptor().Fields().Get(i)
		if field.Kind() == protoreflect.StringKind && !utf8.ValidString(arguments.Get(field).String()) {
			return fault.New(abi.ErrorCode_INVALID_ARGUMENT, "%s: is no UTF-8; give valid Unicode", field.Name())
		}
	}
	return nil
}
