package accounts

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"sync/atomic"
	"time"

	"golang.org/x/crypto/argon2"
)

// How many wait for a hash, and how long.
const (
	mostWaiting = 16
	longestWait = 5 * time.Second
)

// hasher makes hashes of passwords, one at a time: a flood of logins takes one core and one hash's memory, and mail the rest.
type hasher struct {
	params  Params
	slot    chan struct{}
	waiting atomic.Int32
	made    atomic.Int64 // for tests, which count and do not time
	decoy   hashed       // what is checked where there is no password
}

func newHasher(p Params) *hasher {
	h := &hasher{params: p, slot: make(chan struct{}, 1), decoy: hashed{Params: p, salt: make([]byte, saltSize), key: make([]byte, keySize)}}
	rand.Read(h.decoy.salt)
	rand.Read(h.decoy.key)
	return h
}

// hash makes a PHC string of a password.
func (h *hasher) hash(ctx context.Context, password string) (string, error) {
	out := hashed{Params: h.params, salt: make([]byte, saltSize)}
	rand.Read(out.salt)
	var err error
	out.key, err = h.derive(ctx, out, password, keySize)
	if err != nil {
		return "", err
	}
	return out.String(), nil
}

// verify reports whether a password is that of a string, and whether it should be hashed anew with today's parameters. It makes
// one hash whatever the string is: also of none, and of one that cannot be read.
func (h *hasher) verify(ctx context.Context, phc, password string) (ok, old bool, err error) {
	want, perr := parsePHC(phc)
	if perr != nil {
		want = h.decoy
	}
	key, err := h.derive(ctx, want, password, len(want.key))
	if err != nil {
		return false, false, err
	}
	ok = subtle.ConstantTimeCompare(key, want.key) == 1 && perr == nil
	return ok, ok && (want.Params != h.params || len(want.salt) != saltSize || len(want.key) != keySize), nil
}

// derive makes one hash when it is its turn.
func (h *hasher) derive(ctx context.Context, of hashed, password string, size int) ([]byte, error) {
	defer h.waiting.Add(-1)
	if h.waiting.Add(1) > mostWaiting {
		return nil, busy()
	}
	ctx, cancel := context.WithTimeout(ctx, longestWait)
	defer cancel()
	select {
	case h.slot <- struct{}{}:
	case <-ctx.Done():
		return nil, busy()
	}
	defer func() { <-h.slot }()
	h.made.Add(1)
	return argon2.IDKey([]byte(password), of.salt, of.Time, of.Memory, of.Threads, uint32(size)), nil
}

func busy() error {
	return &Refusal{Kind: Busy, Message: "too many log in at once", Hint: "try again in some seconds", Wait: longestWait}
}
