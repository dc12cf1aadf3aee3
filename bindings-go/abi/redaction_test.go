package abi_test

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
	"google.golang.org/protobuf/types/descriptorpb"

	_ "chatsdk/abi"
	_ "chatsdk/abi/content"
	"chatsdk/internal/redactiontest"
)

const secret = redactiontest.Secret

// filled are messages of the type with each secret that is in it somewhere, one message a way to it.
func filled(kind protoreflect.MessageType, within []protoreflect.FullName) []protoreflect.Message {
	var all []protoreflect.Message
	fields := kind.Descriptor().Fields()
	for i := range fields.Len() {
		field := fields.Get(i)
		options, _ := field.Options().(*descriptorpb.FieldOptions)
		set := func(value protoreflect.Value) {
			message := kind.New()
			if field.IsList() {
				list := message.NewField(field).List()
				list.Append(value)
				value = protoreflect.ValueOfList(list)
			}
			message.Set(field, value)
			all = append(all, message)
		}
		switch {
		case options.GetDebugRedact() && field.Kind() == protoreflect.BytesKind:
			set(protoreflect.ValueOfBytes([]byte(secret)))
		case options.GetDebugRedact():
			set(protoreflect.ValueOfString(secret))
		case field.Message() != nil:
			name := field.Message().FullName()
			inner, err := protoregistry.GlobalTypes.FindMessageByName(name)
			if err != nil || len(within) > 8 {
				continue
			}
			for _, message := range filled(inner, append(within, name)) {
				set(protoreflect.ValueOfMessage(message))
			}
		}
	}
	return all
}

func TestS1_NoMessageThatHoldsASecretShowsItWhenItIsPrinted(t *testing.T) {
	kinds := map[protoreflect.FullName]bool{}
	protoregistry.GlobalTypes.RangeMessages(func(kind protoreflect.MessageType) bool {
		if !strings.HasPrefix(string(kind.Descriptor().FullName()), "chatsdk.") {
			return true
		}
		for _, message := range filled(kind, nil) {
			kinds[kind.Descriptor().FullName()] = true
			for how, text := range printed(message.Interface()) {
				if redactiontest.IsShown(text) {
					t.Errorf("%s with %s shows a secret: %s", kind.Descriptor().Name(), how, text)
				}
			}
			if encoded, err := proto.Marshal(message.Interface()); err != nil || !bytes.Contains(encoded, []byte(secret)) {
				t.Errorf("printing took the secret out of %s: %v", kind.Descriptor().Name(), err)
			}
		}
		return true
	})
	for _, name := range []protoreflect.FullName{"chatsdk.v1.RateLimit", "chatsdk.v1.Config", "chatsdk.v1.CoreOpened", "chatsdk.content.v1.Text"} {
		if !kinds[name] {
			t.Errorf("%s is not among %v", name, kinds)
		}
	}
}

// printed tells how, and what it gives.
func printed(message proto.Message) map[string]string {
	texts := map[string]string{"String": message.(fmt.Stringer).String(), "Println": fmt.Sprintln(message), "Errorf": fmt.Errorf("it is %w", errors.Join(fmt.Errorf("%v", message))).Error()}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d", "%o"} {
		texts[verb] = fmt.Sprintf(verb, message)
		texts[verb+" of a list"] = fmt.Sprintf(verb, []proto.Message{message})
		texts[verb+" of a struct"] = fmt.Sprintf(verb, struct{ Field proto.Message }{message})
	}
	for name, handler := range map[string]func(*bytes.Buffer) slog.Handler{
		"slog's text": func(log *bytes.Buffer) slog.Handler { return slog.NewTextHandler(log, nil) },
		"slog's JSON": func(log *bytes.Buffer) slog.Handler { return slog.NewJSONHandler(log, nil) },
	} {
		var log bytes.Buffer
		slog.New(handler(&log)).Info("it is", "message", message)
		texts[name] = log.String()
	}
	return texts
}
