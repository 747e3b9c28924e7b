package quarantine

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"gatepost/gateway"
)

// Release is what somebody wants let go.
type Release struct {
	ID gateway.ID
	// Rcpts are those whose copy goes out; none: all that have not got it.
	Rcpts []string
	// To is another address that gets it, in place of the recipients, whose copies stay.
	To *gateway.Address
	By string
	// Force lets it go although malware was found in it, or nobody could look.
	Force bool
	// User says that the recipient himself asks: he may release what Class.UserMay allows, his own copy only, and once
	// (ErrNobodyLeft), whoever released it.
	User bool
}

// Result is what came of a release for those who go one way.
type Result struct {
	Rcpts   []string      `json:"rcpts"`
	Done    bool          `json:"done"`              // the next hop has it, or the spool
	Spooled bool          `json:"spooled,omitempty"` // the spool
	Reply   gateway.Reply `json:"reply,omitzero"`
	Hop     string        `json:"next_hop,omitempty"`
	Said    string        `json:"said"` // in words
	Ref     gateway.ID    `json:"ref,omitzero"`
}

// Why a release is refused before it begins. What it wraps is for people.
var (
	ErrInfected    = errors.New("malware was found in it")
	ErrNotScanned  = errors.New("it cannot be scanned now")
	ErrNotAllowed  = errors.New("users may not release mail of this class")
	ErrNobodyLeft  = errors.New("nobody is left to release it to")
	ErrNoRecipient = errors.New("not a recipient of this message")
)

// Release lets a message go, by the same way as any other: through the next hop of its route, or its spool where that has one
// and the next hop is away. The copy bears a mark, so that a second one can be told from the first. It never goes out before
// the whole file proved to be what was written.
func (v *Vault) Release(ctx context.Context, r *Release) ([]Result, error) {
	free, err := v.lease(r.ID)
	if err != nil {
		return nil, err
	}
	defer free()
	m, err := v.message(ctx, r.ID, true)
	if err != nil {
		return nil, err
	}
	defer m.Close()
	which, err := m.who(r)
	if err != nil {
		return nil, err
	}
	if err := m.scan(ctx, r); err != nil {
		v.tell(&Change{What: Refused, ID: r.ID, From: m.From.Text, By: r.By, Said: err.Error(), Class: m.Class})
		return nil, err
	}
	legs, err := m.legs(r, which)
	if err != nil {
		return nil, err
	}
	return m.release(ctx, r, which, legs)
}

// who are the places of the recipients whose copies go out; none where another address gets it.
func (m *message) who(r *Release) (which []int, err error) {
	if r.User && (!m.Class.UserMay() || r.To != nil || r.Force || len(r.Rcpts) != 1) {
		return nil, ErrNotAllowed
	}
	if r.To != nil {
		return nil, nil
	}
	for _, name := range r.Rcpts {
		at := slices.IndexFunc(m.Rcpts, func(to rcpt) bool { return strings.EqualFold(to.Address.Text, name) })
		if at < 0 {
			return nil, fmt.Errorf("%s: %w", gateway.CleanText(name, 320), ErrNoRecipient)
		}
		switch state := m.state.Rcpts[at].State; {
		case state == Deleted:
			return nil, fmt.Errorf("%s: %w", gateway.CleanText(name, 320), ErrNone)
		case r.User && state != Visible:
			return nil, ErrNobodyLeft
		}
		if !slices.Contains(which, at) {
			which = append(which, at)
		}
	}
	if len(r.Rcpts) == 0 {
		for i := range m.state.Rcpts {
			if m.state.Rcpts[i].State == Visible {
				which = append(which, i)
			}
		}
	}
	if len(which) == 0 {
		return nil, ErrNobodyLeft
	}
	return which, nil
}

// scan looks for malware again: what was not known when the message came may be known now.
func (m *message) scan(ctx context.Context, r *Release) error {
	if m.v.opts.Scan == nil || r.Force {
		return nil
	}
	body, err := m.body()
	if err != nil {
		return err
	}
	defer body.Close()
	found, err := m.v.opts.Scan(ctx, body, m.Size)
	switch {
	case err != nil:
		return fmt.Errorf("%w: %s", ErrNotScanned, gateway.CleanText(err.Error(), 200))
	case found != "":
		return fmt.Errorf("%w: %s", ErrInfected, gateway.CleanText(found, 200))
	}
	return nil
}

// way is a leg of a release with the addresses that the next hop is told.
type way struct {
	leg
	to []gateway.Recipient // in the order of Keys
	of [][]int             // of each of Rcpts, the places in Keys of those that get its copy
}

// legs find out where the copies go now.
func (m *message) legs(r *Release, which []int) ([]way, error) {
	if m.v.opts.Way == nil || m.v.opts.NextHop == nil || m.v.opts.IDs == nil {
		return nil, errors.New("nothing can be released: there is no next hop")
	}
	var out []way
	add := func(to gateway.Address, like *rcpt, place int) error {
		final, route, err := m.v.opts.Way(to)
		if err != nil {
			return fmt.Errorf("%s: %w", gateway.CleanText(to.Text, 320), err)
		}
		at := slices.IndexFunc(out, func(w way) bool { return w.Route == route })
		if at < 0 {
			at, out = len(out), append(out, way{leg: leg{Route: route}})
		}
		w := &out[at]
		var of []int
		for _, f := range final {
			key := slices.Index(w.Keys, f.Key())
			if key < 0 {
				t := gateway.Recipient{Address: f, Route: route, Verified: true}
				if f.Text != to.Text {
					t.Named = to
				}
				if like != nil {
					t.Options = gateway.RcptOptions{Notify: like.Notify, Original: like.Original}
				}
				key = len(w.Keys)
				w.to, w.Keys = append(w.to, t), append(w.Keys, f.Key())
			}
			of = append(of, key)
		}
		if place >= 0 {
			w.Rcpts, w.of = append(w.Rcpts, place), append(w.of, of)
		}
		return nil
	}
	if r.To != nil {
		return out, add(*r.To, nil, -1)
	}
	for _, i := range which {
		if err := add(gateway.Address(m.Rcpts[i].Address), &m.Rcpts[i], i); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// release notes that copies are on their way, sends them, and notes how that ended. In between a crash leaves them Releasing:
// the next start asks the ledger, and shows them again where that does not know better.
func (m *message) release(ctx context.Context, r *Release, which []int, legs []way) ([]Result, error) {
	now := time.Now().UTC().Round(0)
	before := slices.Clone(m.state.Rcpts)
	// What nobody looked through for malware, or is for another mailbox, is nothing to learn from.
	outward := &outward{By: r.By, At: now, Rcpts: which, Ham: r.To == nil && !r.Force}
	m.state.Out = outward
	for i := range legs {
		m.state.Out.Legs = append(m.state.Out.Legs, legs[i].leg)
	}
	for _, i := range which {
		m.state.Rcpts[i] = mark{State: Releasing, At: now}
	}
	if err := m.save("releasing"); err != nil {
		return nil, fmt.Errorf("quarantine: %w", err)
	}
	// Who asked may go away; what was begun is ended.
	ctx = context.WithoutCancel(ctx)
	var out []Result
	any := false
	for i := range legs {
		res, took := m.send(ctx, &legs[i])
		any = any || slices.Contains(took, true)
		for j, at := range legs[i].Rcpts {
			res.Rcpts = append(res.Rcpts, m.Rcpts[at].Address.Text)
			m.state.Rcpts[at] = mark{State: Released, At: time.Now().UTC().Round(0), Said: res.Said}
			if slices.ContainsFunc(legs[i].of[j], func(key int) bool { return !took[key] }) {
				m.state.Rcpts[at] = before[at]
				m.state.Rcpts[at].Said = res.Said
			}
		}
		if r.To != nil {
			res.Rcpts = append(res.Rcpts, r.To.Text)
		}
		out = append(out, res)
		c := &Change{What: LetGo, ID: r.ID, From: m.From.Text, Rcpts: res.Rcpts, By: r.By, Said: res.Said, Hop: res.Hop, Ref: res.Ref, Class: m.Class}
		if !res.Done {
			c.What = Refused
		}
		m.v.tell(c)
	}
	m.state.Out = nil
	if any {
		m.state.Releases++
		m.wantHam(outward)
	}
	if err := m.save("released"); err != nil {
		return out, fmt.Errorf("quarantine: the message is on its way, and that could not be noted: %w", err)
	}
	m.wanted()
	return out, nil
}

// name is by what the ledger knows a release, the same until one came to an end: so one that a crash cut off is not sent a
// second time.
func (m *message) name() [32]byte {
	return sha256.Sum256(fmt.Appendf(nil, "gatepost release %v %d", m.id(), m.state.Releases))
}

// send hands the message to the next hop of one way, for those that have not got it, and says who has it then.
func (m *message) send(ctx context.Context, w *way) (res Result, took []bool) {
	var claim gateway.Claim
	if m.v.opts.Ledger != nil {
		var err error
		if claim, err = m.v.opts.Ledger.Begin(ctx, m.name(), w.Keys); err != nil {
			m.v.log.Warn("quarantine: ledger", "error", err) // it costs a second copy at most, and that bears a mark
			claim = nil
		}
	}
	took = make([]bool, len(w.Keys))
	if claim != nil {
		copy(took, claim.Done())
		defer func() {
			claim.End(took)
			m.v.at("ledger")
			claim.Heard(false) // it is remembered until the state says so, and longer, which harms nothing
		}()
	}
	var todo []int
	for i := range took {
		if !took[i] {
			todo = append(todo, i)
		}
	}
	if len(todo) == 0 {
		return Result{Done: true, Said: "an earlier attempt, which was cut off, had delivered it"}, took
	}
	var relayed gateway.Relayed
	err := m.out(w, todo, func(d *gateway.Delivery) error {
		m.v.at("relay")
		relayed = m.v.opts.NextHop().Relay(ctx, d)
		m.v.at("relayed")
		return nil
	})
	if err != nil {
		return Result{Said: gateway.CleanText(err.Error(), 300)}, took
	}
	res = Result{Reply: relayed.Reply, Hop: relayed.NextHop, Said: said(&relayed)}
	for i, at := range todo {
		took[at] = relayed.TookFor(i)
	}
	if !slices.Contains(took, false) || !relayed.Unreached() || !m.v.spools(w.Route) {
		res.Done = !slices.Contains(took, false)
		return res, took
	}
	err = m.out(w, todo, func(d *gateway.Delivery) error {
		res.Ref = d.ID
		return m.v.spool(ctx, d, gateway.Custody{Arrived: time.Now(), Subject: m.Subject,
			Why: limit("released from quarantine ("+m.id().String()+"): "+res.Said, 300)})
	})
	if err != nil {
		m.v.log.Warn("quarantine: the spool did not take a released message", "id", m.id().String(), "error", err)
		res.Ref = 0
		return res, took
	}
	for _, at := range todo {
		took[at] = true
	}
	res.Done, res.Spooled, res.Said = true, true, "in the spool as "+res.Ref.String()+", since "+res.Said
	return res, took
}

// out makes the message ready to go for some of those that one way leads to.
func (m *message) out(w *way, todo []int, to func(d *gateway.Delivery) error) error {
	body, err := m.body()
	if err != nil {
		return err
	}
	defer body.Close()
	d, err := m.delivery(w, todo, body)
	if err != nil {
		return err
	}
	return to(d)
}

// delivery is the message as it goes out: the mark, our trace fields, and what came in without the fields that only we may
// write, octet for octet. Its content can be read once.
func (m *message) delivery(w *way, todo []int, body io.Reader) (*gateway.Delivery, error) {
	header := make([]byte, m.Header)
	if _, err := io.ReadFull(body, header); err != nil {
		return nil, err
	}
	top := "X-Gatepost-Released: " + m.id().String() + "\r\n" + m.Trace
	c := gateway.Content{Parts: []io.Reader{strings.NewReader(top)}, Size: int64(len(top)) + m.Size, EightBit: m.EightBit, UTF8: m.UTF8}
	at := 0
	for _, cut := range append(slices.Clone(m.Cut), [2]int{m.Header, m.Header}) {
		c.Parts = append(c.Parts, strings.NewReader(string(header[at:cut[0]])))
		c.Size -= int64(cut[1] - cut[0])
		at = cut[1]
	}
	c.Parts = append(c.Parts, body)
	options := gateway.MailOptions(m.Mail)
	options.Size = 0 // it has grown
	var rcpts []gateway.Recipient
	for _, i := range todo {
		rcpts = append(rcpts, w.to[i])
	}
	return &gateway.Delivery{ID: m.v.opts.IDs.Next(), Route: w.Route, From: gateway.Address(m.From), Options: options, Rcpts: rcpts, Content: c, Client: m.Client}, nil
}

// settleOut ends a release that a crash cut off: where the ledger knows that all have it they do, else their copies are in
// quarantine again. A copy that went out all the same bears the mark, as the next one will.
func (v *Vault) settleOut(m *message) error {
	out := m.state.Out
	name := fmt.Sprintf("%x", m.name())
	done := false
	for _, l := range out.Legs {
		has := v.delivered(name, l.Keys)
		done = done || has
		for _, at := range l.Rcpts {
			if at < 0 || at >= len(m.state.Rcpts) || m.state.Rcpts[at].State != Releasing {
				continue
			}
			m.state.Rcpts[at] = mark{State: Visible, At: time.Now().UTC().Round(0), Said: "a release by " + out.By + " was cut off; the message may have arrived"}
			if has {
				m.state.Rcpts[at].State, m.state.Rcpts[at].Said = Released, "a release by "+out.By+" was cut off after it was delivered"
			}
		}
	}
	if m.state.Out = nil; done {
		m.state.Releases++
		m.wantHam(out)
	}
	return m.save("settled")
}
