package chatsdk

import (
	"context"
	"unicode/utf8"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	"chatsdk/abi"
	"chatsdk/internal/engine"
	"chatsdk/internal/fault"
)

// around is room for what a call takes on its way to the core: its time, its entropy.
const around = 128

// core makes calls of the core: abi.ChatCaller.
type core struct {
	engine *engine.Engine
}

// Call refuses what cannot reach the core before anything of it is copied.
func (c core) Call(ctx context.Context, input *abi.Input) (*abi.Reply, error) {
	if err := checkCall(input); err != nil {
		return nil, named(err)
	}
	reply, err := c.engine.Call(ctx, input)
	return reply, named(err)
}

// checkCall fails with CONTENT_TOO_LARGE or INVALID_ARGUMENT, naming the field, for more than crosses to the core and for text that is no UTF-8.
func checkCall(input *abi.Input) error {
	message := input.ProtoReflect()
	call := message.WhichOneof(message.Descriptor().Oneofs().ByName("input"))
	arguments := message.Get(call).Message()
	if proto.Size(input) > abi.MaximumLength-around {
		return tooLarge(arguments)
	}
	for i := range arguments.Descriptor().Fields().Len() {
		field := arguments.Descriptor().Fields().Get(i)
		if field.Kind() == protoreflect.StringKind && !utf8.ValidString(arguments.Get(field).String()) {
			return fault.New(abi.ErrorCode_INVALID_ARGUMENT, "%s: is no UTF-8; give valid Unicode", field.Name())
		}
	}
	return nil
}

// tooLarge names the largest argument.
func tooLarge(arguments protoreflect.Message) error {
	largest, size := "request", 0
	arguments.Range(func(field protoreflect.FieldDescriptor, value protoreflect.Value) bool {
		if length := sizeOf(field, value); length > size {
			largest, size = string(field.Name()), length
		}
		return true
	})
	if largest == "content" {
		return contentTooLarge(size)
	}
	return fault.New(abi.ErrorCode_INVALID_ARGUMENT, "%s: %d bytes are too many; give less than %d", largest, size, abi.MaximumLength-around)
}

// sizeOf counts what may be long.
func sizeOf(field protoreflect.FieldDescriptor, value protoreflect.Value) int {
	switch {
	case field.IsList():
		// No call has one.
		return 0
	case field.IsList():
		// No call has one.
		return 0
	case field.Message() != nil:
		return proto.Size(value.Message().Interface())
	case field.Kind() == protoreflect.StringKind:
		return len(value.String())
	}
	return 0
}

func contentTooLarge(bytes int) error {
	return fault.New(abi.ErrorCode_CONTENT_TOO_LARGE, "content: %d bytes; send an attachment reference", bytes)
}
