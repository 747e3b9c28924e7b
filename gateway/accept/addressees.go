package accept

import (
	"strings"

	"gatepost/gateway"
)

// addressees are who of a message's accepted recipients gets it in which way. Their places, those of hop first, are those of
// their keys in the ledger.
type addressees struct {
	hop   []gateway.Recipient // the addresses that the next hop is told, each once, with what the sender named
	vault []gateway.Recipient // those whose copy is quarantined
	keys  []string
}

// inVault is put before the key of a recipient whose copy is quarantined. No address begins so.
const inVault = "\x00vault "

func (a *addressees) len() int { return len(a.keys) }

// addressees works out who gets the message. Each address gets it once: RFC 5321 section 3.3 lets a client name one twice,
// and what several stand for is one as well. Without a vault, or where policy wants
// none, the quarantined get it from the next hop, marked.
func (a *Acceptor) addressees(e *gateway.Envelope, v *gateway.Verdict) addressees {
	to := addressees{hop: make([]gateway.Recipient, 0, len(e.Rcpts)), keys: make([]string, 0, len(e.Rcpts))}
	seen := newSeen(len(e.Rcpts))
	vault := a.Vault != nil && !e.Session.Snapshot.MarkQuarantined
	for i := range e.Rcpts {
		r := &e.Rcpts[i]
		switch {
		case !r.Accepted():
		case vault && i < len(v.Rcpts) && v.Rcpts[i].Outcome == gateway.Quarantine:
			to.vault = append(to.vault, *r)
		case r.To == nil:
			to.add(&seen, r, r.Address)
		default:
			for _, final := range r.To {
				to.add(&seen, r, final)
			}
		}
	}
	for i := range to.vault {
		to.keys = append(to.keys, inVault+to.vault[i].Address.Key())
	}
	return to
}

func (a *addressees) add(seen *seen, r *gateway.Recipient, final gateway.Address) {
	key := final.Key()
	if seen.before(a.keys, key) {
		return
	}
	out := *r
	if r.To != nil {
		out.Address, out.Named, out.To = final, r.Address, nil
	}
	a.hop, a.keys = append(a.hop, out), append(a.keys, key)
}

// discreet takes the addresses out of the next hop's words that the sender did not name: whom a recipient stands for is
// nobody's business.
func discreet(r gateway.Reply, rcpts []gateway.Recipient) gateway.Reply {
	for i := range rcpts {
		if to := &rcpts[i]; !to.Named.IsNull() {
			r.Text = strings.ReplaceAll(r.Text, to.Address.Text, to.Named.Text)
		}
	}
	return r
}

// seen tells whether a key came before. Nearly all messages have few recipients, for which looking is cheaper than a map.
type seen struct{ keys map[string]bool }

// fewKeys is how many are looked through.
const fewKeys = 8

func newSeen(most int) seen {
	if most <= fewKeys {
		return seen{}
	}
	return seen{make(map[string]bool, most)}
}

// before reports whether a key is among those before, and has it among them from now on.
func (s *seen) before(keys []string, key string) bool {
	if s.keys == nil && len(keys) > fewKeys { // an alias stands for many
		s.keys = make(map[string]bool, 4*len(keys))
		for _, k := range keys {
			s.keys[k] = true
		}
	}
	if s.keys != nil {
		was := s.keys[key]
		s.keys[key] = true
		return was
	}
	for _, k := range keys {
		if k == key {
			return true
		}
	}
	return false
}
