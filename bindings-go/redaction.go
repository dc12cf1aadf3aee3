package chatsdk

import (
	"fmt"
	"log/slog"
)

// What holds texts, links or keys prints what it is, and nothing that it holds: by fmt, whatever the verb and however deep, and by slog. Its fields
// are there for who wants to show them. fmt asks no value in a field that is not exported of another type. encoding/json encodes all, so that
// programs can send values on: slog's handler for JSON shows them when they are inside of something else.

// Format prints the ids alone, whatever the verb.
func (m Message) Format(state fmt.State, _ rune) { show(state, m.summary()) }

// LogValue logs the ids alone.
func (m Message) LogValue() slog.Value { return slog.StringValue(m.summary()) }

// LogValue logs the ids of the message alone.
func (e MessageReceived) LogValue() slog.Value { return e.Message.LogValue() }

func (m Message) summary() string {
	return fmt.Sprintf("message %s of conversation %s", m.ID, m.ConversationID)
}

// Format prints the id alone, whatever the verb.
func (i Invite) Format(state fmt.State, _ rune) { show(state, i.summary()) }

// LogValue logs the id alone.
func (i Invite) LogValue() slog.Value { return slog.StringValue(i.summary()) }

func (i Invite) summary() string { return "invite " + i.ID }

// Format prints type and size, whatever the verb.
func (c Content) Format(state fmt.State, _ rune) { show(state, c.summary()) }

// LogValue logs type and size.
func (c Content) LogValue() slog.Value { return slog.StringValue(c.summary()) }

func (c Content) summary() string {
	return fmt.Sprintf("content of domain %d, tag %d, version %d, %d bytes", c.Domain, c.Tag, c.Version, len(c.Payload))
}

// Format prints the size, whatever the verb; string(t) is the text.
func (t Text) Format(state fmt.State, _ rune) { show(state, t.summary()) }

// LogValue logs the size.
func (t Text) LogValue() slog.Value { return slog.StringValue(t.summary()) }

func (t Text) summary() string { return fmt.Sprintf("text of %d bytes", len(t)) }

// Format prints the id of the message and the size, whatever the verb.
func (r Reply) Format(state fmt.State, _ rune) { show(state, r.summary()) }

// LogValue logs the id of the message and the size.
func (r Reply) LogValue() slog.Value { return slog.StringValue(r.summary()) }

func (r Reply) summary() string {
	return fmt.Sprintf("reply to message %s, %d bytes", r.MessageID, len(r.Text))
}

// Format prints the id of the message, whatever the verb.
func (r Reaction) Format(state fmt.State, _ rune) { show(state, r.summary()) }

// LogValue logs the id of the message.
func (r Reaction) LogValue() slog.Value { return slog.StringValue(r.summary()) }

func (r Reaction) summary() string { return "reaction to message " + r.MessageID }

// Format prints the size, whatever the verb.
func (a AttachmentReference) Format(state fmt.State, _ rune) { show(state, a.summary()) }

// LogValue logs the size.
func (a AttachmentReference) LogValue() slog.Value { return slog.StringValue(a.summary()) }

func (a AttachmentReference) summary() string {
	return fmt.Sprintf("reference to an attachment of %d bytes", a.Size)
}

// LogValue logs the path alone.
func (o Options) LogValue() slog.Value { return slog.StringValue("options of " + o.Path) }

// Format prints the path alone, whatever the verb: a client holds keys, and the events that wait.
func (c *Client) Format(state fmt.State, _ rune) { show(state, c.summary()) }

// LogValue logs the path alone.
func (c *Client) LogValue() slog.Value { return slog.StringValue(c.summary()) }

func (c *Client) summary() string { return "client of " + c.options.Path }

func show(state fmt.State, text string) {
	// A writer of fmt does not fail.
	_, _ = fmt.Fprint(state, text)
}
