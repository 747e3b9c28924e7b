package accounts

import (
	"encoding/base64"
	"errors"
	"strconv"
	"strings"
)

// Params are what Argon2id costs (RFC 9106).
type Params struct {
	Memory  uint32 // KiB
	Time    uint32 // passes
	Threads uint8
}

// DefaultParams are the memory and passes of the RFC's second recommendation, in one thread: on a core of 2026 a tenth to a
// fifth of a second. See docs/users.md for what was measured.
func DefaultParams() Params { return Params{Memory: 64 << 10, Time: 3, Threads: 1} }

// What is taken of a store: a row that somebody else wrote must not eat the machine.
const (
	mostMemory  = 256 << 10
	mostTime    = 10
	mostThreads = 8
	saltSize    = 16
	keySize     = 32
)

// hashed is a password's PHC string, taken apart.
type hashed struct {
	Params
	salt, key []byte
}

var errPHC = errors.New("accounts: a password's string cannot be read")

// String writes "$argon2id$v=19$m=65536,t=3,p=1$salt$key".
func (h hashed) String() string {
	e := base64.RawStdEncoding
	return "$argon2id$v=19$m=" + strconv.FormatUint(uint64(h.Memory), 10) + ",t=" + strconv.FormatUint(uint64(h.Time), 10) +
		",p=" + strconv.FormatUint(uint64(h.Threads), 10) + "$" + e.EncodeToString(h.salt) + "$" + e.EncodeToString(h.key)
}

// parsePHC reads such a string, and nothing that is written in another way.
func parsePHC(s string) (h hashed, err error) {
	if len(s) > 256 {
		return h, errPHC
	}
	parts := strings.Split(s, "$")
	if len(parts) != 6 || parts[0] != "" || parts[1] != "argon2id" || parts[2] != "v=19" {
		return h, errPHC
	}
	costs := strings.Split(parts[3], ",")
	if len(costs) != 3 {
		return h, errPHC
	}
	var n [3]uint64
	for i, c := range []struct {
		name string
		most uint64
	}{{"m=", mostMemory}, {"t=", mostTime}, {"p=", mostThreads}} {
		text, ok := strings.CutPrefix(costs[i], c.name)
		if n[i], err = strconv.ParseUint(text, 10, 32); !ok || err != nil || n[i] == 0 || n[i] > c.most {
			return h, errPHC
		}
	}
	h.Params = Params{Memory: uint32(n[0]), Time: uint32(n[1]), Threads: uint8(n[2])}
	e := base64.RawStdEncoding.Strict()
	if h.salt, err = e.DecodeString(parts[4]); err != nil || len(h.salt) < 8 || len(h.salt) > 64 {
		return h, errPHC
	}
	if h.key, err = e.DecodeString(parts[5]); err != nil || len(h.key) < 16 || len(h.key) > 64 {
		return h, errPHC
	}
	if h.String() != s { // "m=064", "\n" within base64
		return h, errPHC
	}
	return h, nil
}
