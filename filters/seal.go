package filters

import (
	"context"
	"crypto"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"gatepost/gateway"
	"gatepost/internal/arc"
)

// Sealer seals what the gateway hands on, with what its checks verified (RFC 8617 section 5.1). It waits for nothing: a
// chain that was not verified in time is not sealed.
type Sealer struct {
	arc    arc.Sealer
	always bool
	counts *SealCounts
	deps   *Deps
}

// SealCounts counts what became of messages that were to be sealed. It outlives policies.
type SealCounts struct{ Sealed, Left, Failed atomic.Uint64 }

// SealOptions say who seals, and what.
type SealOptions struct {
	Domain, Selector string // A-labels, lower case
	Key              crypto.Signer
	Always           bool // each message; otherwise those that the gateway changed
	Counts           *SealCounts
}

// NewSealer makes a sealer over checks that Build made of the same Deps. It needs the check arc: cv= is what that found.
func NewSealer(d *Deps, o SealOptions) (*Sealer, error) {
	if d.arc == nil {
		return nil, errors.New(`needs the check arc; write another action than "off" in [checks.arc]`)
	}
	return &Sealer{arc: arc.Sealer{Domain: o.Domain, Selector: o.Selector, Key: o.Key}, always: o.Always, counts: o.Counts, deps: d}, nil
}

// Wants is that of gateway.Sealer.
func (s *Sealer) Wants(changed bool) bool { return s.always || changed }

// Seal is that of gateway.Sealer.
func (s *Sealer) Seal(ctx context.Context, m *gateway.Sealing) (fields []byte, told string, err error) {
	d := arc.Draft{Header: fieldsOf(gateway.ParseHeader(m.Header)), Body: m.Body,
		Results: m.Results, Now: time.Now()}
	if hasChain(m.Envelope) {
		if !gateway.Known(&m.Envelope.Facts, factSignatures) {
			s.counts.Failed.Add(1)
			return nil, "", errors.New("seal: the chain was not verified in time")
		}
		signed := s.deps.signatures(ctx, m.Envelope)
		if signed.broken {
			s.counts.Failed.Add(1)
			return nil, "", errors.New("seal: the chain could not be verified")
		}
		d.Chain = signed.ARC
	}
	fields, instance, err := s.arc.Seal(&d)
	switch {
	case errors.Is(err, arc.ErrEnded), errors.Is(err, arc.ErrFull), errors.Is(err, arc.ErrUnknown):
		s.counts.Left.Add(1)
		return nil, "not sealed: " + err.Error(), nil
	case err != nil:
		s.counts.Failed.Add(1)
		return nil, "", fmt.Errorf("seal: %w", err)
	}
	s.counts.Sealed.Add(1)
	return fields, fmt.Sprintf("sealed i=%d", instance), nil
}
