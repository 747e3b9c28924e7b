package certs

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"time"
)

// A session ticket is good for a day: the key that sealed it is the newest for ticketTurn, and opens tickets as one of
// ticketKeys. Who steals a key out of the memory can read what sessions of TLS 1.2 said under it, and no more.
const (
	ticketTurn = 4 * time.Hour
	ticketKeys = 6
)

// Edge is the TLS of the listeners for mail: TLS 1.2 and later (RFC 8996), the ciphers and groups that the standard library
// holds for good, X25519MLKEM768 before all others, no renegotiation and no early data, which it does not have. It lasts as
// long as the process: certificates change in its Set and ticket keys in Run, so that no reload costs a client its ticket.
type Edge struct {
	plain, asking         *tls.Config
	plainKeys, askingKeys [][32]byte // the newest first; after NewEdge only Run touches them
}

// NewEdge makes the configuration of listeners that show the certificates of a Set.
func NewEdge(set *Set) *Edge {
	config := func(ask tls.ClientAuthType) *tls.Config {
		return &tls.Config{GetCertificate: set.Get, MinVersion: tls.VersionTLS12, ClientAuth: ask}
	}
	// A certificate is only asked for, and never verified by the handshake: who sends one that nobody knows sends mail all
	// the same, as everybody may who has none.
	e := &Edge{plain: config(tls.NoClientCert), asking: config(tls.RequestClientCert)}
	e.turn()
	return e
}

// Config is the configuration of one handshake, which nobody may change. ask says that the client is asked for a
// certificate. A ticket of one kind is no good for the other: a session that goes on without the certificate that is wanted
// would be refused.
func (e *Edge) Config(ask bool) *tls.Config {
	if ask {
		return e.asking
	}
	return e.plain
}

// Run makes new ticket keys every few hours, until ctx is done. They are never written anywhere: a restart costs each client
// one full handshake.
func (e *Edge) Run(ctx context.Context) {
	tick := time.NewTicker(ticketTurn)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			e.turn()
		}
	}
}

func (e *Edge) turn() {
	e.plainKeys, e.askingKeys = withNewKey(e.plainKeys), withNewKey(e.askingKeys)
	e.plain.SetSessionTicketKeys(e.plainKeys)
	e.asking.SetSessionTicketKeys(e.askingKeys)
}

// withNewKey puts a new key before those that are still young enough.
func withNewKey(keys [][32]byte) [][32]byte {
	var key [32]byte
	_, _ = rand.Read(key[:]) // it never fails: crypto/rand ends the process first
	return append([][32]byte{key}, keys[:min(len(keys), ticketKeys-1)]...)
}
