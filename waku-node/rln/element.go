package rln

import (
	"encoding/hex"
	"errors"
	"fmt"
)

// ErrUnavailable is the error of whatever needs the circuit in a program that was built without it.
var ErrUnavailable = errors.New("rln: this program was built without RLN; build the crate chat-rln, then the program with -tags rln, CGO_ENABLED=1 and a C compiler")

// InvalidError tells what is wrong with a value, and names its field.
type InvalidError struct {
	Field   string // such as "group.members[2].userMessageLimit"
	Problem string // with the remedy, if there is one
}

func (e *InvalidError) Error() string { return "rln: " + e.Field + " " + e.Problem }

// Element is a field element or another value of 32 bytes, little-endian. In JSON it is 64 hex digits.
type Element [32]byte

// MarshalText writes hex.
func (e Element) MarshalText() ([]byte, error) { return hex.AppendEncode(nil, e[:]), nil }

// noFieldElement is what is wrong with a value of 32 bytes that the circuit cannot take.
const noFieldElement = "is no field element: 32 bytes little-endian, below the modulus of BN254"

// UnmarshalText reads hex.
func (e *Element) UnmarshalText(text []byte) error {
	if len(text) != hex.EncodedLen(len(e)) {
		return fmt.Errorf("%d characters where 64 hex digits belong", len(text))
	}
	_, err := hex.Decode(e[:], text)
	return err
}

// String is hex.
func (e Element) String() string { return hex.EncodeToString(e[:]) }

// Secret is a member's identity secret. It prints as "rln.Secret".
type Secret [32]byte

// MarshalText writes hex: a credentials file holds the secret.
func (s Secret) MarshalText() ([]byte, error) { return Element(s).MarshalText() }

// UnmarshalText reads hex. Its error does not repeat the text.
func (s *Secret) UnmarshalText(text []byte) error {
	if (*Element)(s).UnmarshalText(text) != nil {
		return errors.New("the identity secret is not 64 hex digits")
	}
	return nil
}

// String hides the secret.
func (Secret) String() string { return "rln.Secret" }

// GoString hides the secret.
func (Secret) GoString() string { return "rln.Secret" }

// Format hides the secret from every verb.
func (Secret) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte("rln.Secret")) }
