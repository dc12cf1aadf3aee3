package keys

import (
	"context"

	"golang.org/x/crypto/argon2"

	"chatsdk/abi"
	"chatsdk/internal/fault"
	"chatsdk/internal/patient"
)

const saltLength = 16

// proposed is RFC 9106, section 4, second recommended option: 64 MiB, three passes, four lanes.
func proposed() *abi.Argon2Id { return &abi.Argon2Id{MemoryKib: 65_536, Passes: 3, Lanes: 4} }

// What a file may ask for: beyond it a hostile one could hang or kill the program.
const (
	largestMemoryKib = 1 << 20
	largestPasses    = 16
	largestLanes     = 16
)

// fromPassphrase is Argon2id, version 0x13 (RFC 9106): 32 bytes. It wipes the passphrase. It fails with DATABASE_CORRUPT for parameters out of
// bounds; with ABORTED as soon as the context ends, though the work, a second and more for some files, goes on to its end.
func fromPassphrase(ctx context.Context, passphrase []byte, parameters *abi.Argon2Id) ([]byte, error) {
	lanes := parameters.GetLanes()
	for _, bound := range []struct {
		name                     string
		value, smallest, largest uint32
		unit                     string
	}{
		{"salt", uint32(len(parameters.GetSalt())), saltLength, saltLength, " bytes"},
		{"lanes", lanes, 1, largestLanes, ""},
		{"passes", parameters.GetPasses(), 1, largestPasses, ""},
		// RFC 9106 section 3.1: at least eight blocks a lane. The lanes are checked by now.
		{"memory_kib", parameters.GetMemoryKib(), 8 * min(lanes, largestLanes), largestMemoryKib, " KiB"},
	} {
		if bound.value < bound.smallest || bound.value > bound.largest {
			clear(passphrase)
			return nil, fault.New(abi.ErrorCode_DATABASE_CORRUPT, "derivation.argon2id.%s: %d, must be from %d to %d%s; restore a backup",
				bound.name, bound.value, bound.smallest, bound.largest, bound.unit)
		}
	}
	return patient.For(ctx, func() ([]byte, error) {
		defer clear(passphrase)
		return argon2.IDKey(passphrase, parameters.GetSalt(), parameters.GetPasses(), parameters.GetMemoryKib(), uint8(lanes), Length), nil
	}, func(key []byte) { clear(key) })
}
