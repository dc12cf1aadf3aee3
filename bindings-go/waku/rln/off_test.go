//go:build !(rln && cgo)

package rln_test

import (
	"errors"
	"strings"
	"testing"

	circuit "waku-node/rln"

	"chatsdk"
	"chatsdk/waku/rln"
)

func TestS1_WithoutTheTagTheErrorSaysHowToBuild(t *testing.T) {
	_, err := rln.NewMembership(strings.NewReader("{}"), nil)
	if !errors.Is(err, chatsdk.ErrInvalidArgument) || !errors.Is(err, circuit.ErrUnavailable) || !strings.Contains(err.Error(), "-tags rln") {
		t.Errorf("got %v", err)
	}
}
