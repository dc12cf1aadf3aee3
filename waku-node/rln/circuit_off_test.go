//go:build !(rln && cgo)

package rln

import (
	"errors"
	"strings"
	"testing"
)

func TestS1_WithoutTheCircuitTheErrorSaysHowToBuild(t *testing.T) {
	_, group := readVectors(t)
	_, ofTree := NewTree(group)
	_, ofProver := NewProver(group, &Credentials{})
	_, _, ofIdentity := IdentityOf(make([]byte, 32))
	for _, err := range []error{ofTree, ofProver, ofIdentity} {
		if !errors.Is(err, ErrUnavailable) || !strings.Contains(err.Error(), "-tags rln") || !strings.Contains(err.Error(), "CGO_ENABLED=1") {
			t.Errorf("got %v", err)
		}
	}
}
