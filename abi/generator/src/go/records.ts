import type { Message } from "../ir.ts";
import type { GoScope } from "./scope.ts";

/** Messages that hold secrets show none when they are printed. */
export function records(secret: readonly Message[], ownsRedaction: boolean, scope: GoScope): string {
  const fmt = scope.from("fmt");
  const slog = scope.from("log/slog");
  const redacted = scope.contract("Redacted");
  const methods = secret.map(
    ({ name }) => `func (x *${name}) redacted() string { return ${redacted}(x) }

// Format prints the message without its secrets, whatever the verb.
func (x *${name}) Format(state ${fmt}.State, _ rune) { ${fmt}.Fprint(state, x.redacted()) }

// LogValue is the message without its secrets.
func (x *${name}) LogValue() ${slog}.Value { return ${slog}.StringValue(x.redacted()) }`,
  );
  return [...(ownsRedaction ? [redaction(scope)] : []), ...methods].join("\n\n");
}

function redaction(scope: GoScope): string {
  const proto = scope.from("google.golang.org/protobuf/proto");
  const prototext = scope.from("google.golang.org/protobuf/encoding/prototext");
  const reflect = scope.from("google.golang.org/protobuf/reflect/protoreflect");
  const descriptor = scope.from("google.golang.org/protobuf/types/descriptorpb");
  return `const redactedMark = "REDACTED"

// Redacted is a message as text, on one line, with a mark in place of each secret (a field with debug_redact). A message that
// holds secrets is printed so by itself: by fmt, by slog and by String. Encoders, and copies by value, show all.
func Redacted(message ${proto}.Message) string {
	original := message.ProtoReflect()
	if !original.IsValid() {
		return "<nil>"
	}
	return ${prototext}.MarshalOptions{AllowPartial: true}.Format(withoutSecrets(original).Interface())
}

// withoutSecrets is a copy in which no secret was ever: a deep clone would leave one behind in memory.
func withoutSecrets(original ${reflect}.Message) ${reflect}.Message {
	redacted := original.New()
	original.Range(func(field ${reflect}.FieldDescriptor, value ${reflect}.Value) bool {
		redacted.Set(field, redactedField(redacted, field, value))
		return true
	})
	return redacted
}

func redactedField(redacted ${reflect}.Message, field ${reflect}.FieldDescriptor, value ${reflect}.Value) ${reflect}.Value {
	options, _ := field.Options().(*${descriptor}.FieldOptions)
	redact := func(element ${reflect}.Value) ${reflect}.Value {
		switch {
		case options.GetDebugRedact() && field.Kind() == ${reflect}.BytesKind:
			return ${reflect}.ValueOfBytes([]byte(redactedMark))
		case options.GetDebugRedact():
			return ${reflect}.ValueOfString(redactedMark)
		case field.Message() != nil:
			return ${reflect}.ValueOfMessage(withoutSecrets(element.Message()))
		}
		return element
	}
	if !field.IsList() {
		return redact(value)
	}
	list := redacted.NewField(field).List()
	for index := range value.List().Len() {
		list.Append(redact(value.List().Get(index)))
	}
	return ${reflect}.ValueOfList(list)
}`;
}
