//go:build !(rln && cgo)

package rln

// Tree is a group's membership tree, which needs the circuit's library.
type Tree struct{}

// NewTree fails with [ErrUnavailable].
func NewTree(*Group) (*Tree, error) { return nil, ErrUnavailable }

// Root is zero.
func (*Tree) Root() Element { return Element{} }

// Close does nothing.
func (*Tree) Close() {}

// Verify fails with [ErrUnavailable].
func (*Tree) Verify(*Proof, []byte) (bool, error) { return false, ErrUnavailable }

func (*Tree) prove(*Credentials, Statement) (*Proof, error) { return nil, ErrUnavailable }

// IdentityOf fails with [ErrUnavailable].
func IdentityOf([]byte) (Secret, Element, error) { return Secret{}, Element{}, ErrUnavailable }

// CommitmentOf fails with [ErrUnavailable].
func CommitmentOf(Secret) (Element, error) { return Element{}, ErrUnavailable }

// RecoverCommitment fails with [ErrUnavailable].
func RecoverCommitment(_, _ *Proof) (Element, error) { return Element{}, ErrUnavailable }
