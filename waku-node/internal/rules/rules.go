// Package rules decides which messages a node lets into the network, as 14/WAKU2-MESSAGE allows
// validators to do. The same rules guard the relay and both light push protocols.
package rules

import (
	"fmt"
	"time"

	"github.com/waku-org/go-waku/waku/v2/protocol/pb"
	"google.golang.org/protobuf/proto"
)

// MaxMessageSize is 14/WAKU2-MESSAGE's limit of 150 KB for one encoded message.
const MaxMessageSize = 150 * 1024

// Kind says which rule a message breaks.
type Kind int

// The rules, in the order in which they are checked.
const (
	Malformed Kind = iota + 1 // a mandatory field is missing or a field is too long
	TooLarge                  // above MaxMessageSize
	Untimely                  // timestamp missing, or too far from the node's clock
	Unproven                  // no right to be relayed: a Proofs refuses it
)

// Proofs refuses messages whose authors have not shown a right to send them, with a *Violation of kind Unproven. It may count what
// it lets pass against the author's quota; the same message again is no second one.
type Proofs interface {
	Check(pubsubTopic string, message *pb.WakuMessage) error
}

// AnyAuthor lets all messages pass.
type AnyAuthor struct{}

// Check returns nil.
func (AnyAuthor) Check(string, *pb.WakuMessage) error { return nil }

// Violation is the error for a message that a rule refuses.
type Violation struct {
	Kind   Kind
	Reason string
}

func (v *Violation) Error() string { return v.Reason }

// Rules are a node's limits.
type Rules struct {
	// MaxClockSkew is how far a message's timestamp may be from Now; 0 turns the check off.
	MaxClockSkew time.Duration
	Now          func() time.Time
}

// Check returns nil or the *Violation of the first rule that the message breaks.
func (r Rules) Check(message *pb.WakuMessage) error {
	if message == nil {
		return &Violation{Malformed, "message is missing"}
	}
	if err := message.Validate(); err != nil {
		return &Violation{Malformed, err.Error()}
	}
	if size := proto.Size(message); size > MaxMessageSize {
		return &Violation{TooLarge, fmt.Sprintf("message of %d bytes is above the limit of %d", size, MaxMessageSize)}
	}
	if r.MaxClockSkew <= 0 {
		return nil
	}
	if message.GetTimestamp() == 0 {
		return &Violation{Untimely, "message has no timestamp"}
	}
	skew := time.Unix(0, message.GetTimestamp()).Sub(r.Now())
	if skew.Abs() > r.MaxClockSkew {
		return &Violation{Untimely, fmt.Sprintf("timestamp is %s away from the node's clock, the limit is %s",
			skew.Abs().Round(time.Millisecond), r.MaxClockSkew)}
	}
	return nil
}
