package quarantine

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"gatepost/gateway"
)

// Looked is what a person is shown of a message.
type Looked struct {
	Row     Row                  `json:"row"`
	Why     gateway.Decision     `json:"why"`
	Policy  string               `json:"policy,omitempty"`
	Client  gateway.Client       `json:"client"`
	Verdict *gateway.Verdict     `json:"verdict"`
	Record  *gateway.Record      `json:"record"`
	Proof   [][]gateway.Evidence `json:"evidence,omitempty"`
	Expires time.Time            `json:"expires"`
	Lesson  *Lesson              `json:"lesson,omitempty"`
	File    string               `json:"file"`
	// Header is how many octets of Message are its header section. Message is its beginning, where it was asked for.
	Header  int    `json:"header"`
	Message []byte `json:"message,omitempty"`
}

// Look reads a message for a person: what is known of it, and the first octets of it, as many as most. It shows nothing of a
// file that is not what was written. That somebody looked at the message itself is told.
func (v *Vault) Look(ctx context.Context, id gateway.ID, by string, most int64) (*Looked, error) {
	m, err := v.message(ctx, id, true)
	if err != nil {
		return nil, err
	}
	defer m.Close()
	l := &Looked{Row: *m.row(), Why: m.Why, Policy: m.Policy, Client: m.Client, Verdict: m.Verdict, Record: m.Record, Proof: m.Proof,
		Expires: v.until(m.row()), Lesson: m.state.Lesson, File: v.name(id, ext), Header: m.Header}
	if most <= 0 {
		return l, nil
	}
	body, err := m.body()
	if err != nil {
		return nil, err
	}
	defer body.Close()
	if l.Message, err = io.ReadAll(io.LimitReader(body, most)); err != nil {
		return nil, err
	}
	v.tell(&Change{What: Viewed, ID: id, From: m.From.Text, By: by, Class: m.Class})
	return l, nil
}

// Delete erases the copies of some recipients; none: of all, and with the last one the message.
func (v *Vault) Delete(ctx context.Context, id gateway.ID, rcpts []string, by string) error {
	free, err := v.lease(id)
	if err != nil {
		return err
	}
	defer free()
	m, err := v.message(ctx, id, false)
	switch {
	case Damaged(err) || errors.Is(err, ErrNoKey): // what cannot be read can be removed
		if len(rcpts) > 0 {
			return err
		}
		return v.deleted(id, &Change{What: Erased, ID: id, By: by, Said: "it could not be read"})
	case err != nil:
		return err
	}
	defer m.Close()
	c := &Change{What: Erased, ID: id, From: m.From.Text, By: by, Class: m.Class}
	for _, name := range rcpts {
		at := slices.IndexFunc(m.Rcpts, func(to rcpt) bool { return strings.EqualFold(to.Address.Text, name) })
		if at < 0 {
			return fmt.Errorf("%s: %w", gateway.CleanText(name, 320), ErrNoRecipient)
		}
		m.state.Rcpts[at] = mark{State: Deleted, At: time.Now().UTC().Round(0)}
		c.Rcpts = append(c.Rcpts, m.Rcpts[at].Address.Text)
	}
	if len(rcpts) > 0 && slices.ContainsFunc(m.state.Rcpts, func(k mark) bool { return k.State != Deleted }) {
		if err := m.save("deleted"); err != nil {
			return fmt.Errorf("quarantine: %w", err)
		}
		v.tell(c)
		return nil
	}
	if len(rcpts) == 0 { // of whom there is still a copy: who has none was told of before
		for i, k := range m.state.Rcpts {
			if k.State != Deleted {
				c.Rcpts = append(c.Rcpts, m.Rcpts[i].Address.Text)
			}
		}
	}
	return v.deleted(id, c)
}

func (v *Vault) deleted(id gateway.ID, c *Change) (err error) {
	if c.Octets, err = v.erase(id); err == nil {
		v.tell(c)
	}
	return err
}

// Report notes that a person says that a message is spam, or that it is not, and has the engines learn from it (Learn). told
// says in words whether they will.
func (v *Vault) Report(ctx context.Context, id gateway.ID, spam bool, by string) (told string, err error) {
	free, err := v.lease(id)
	if err != nil {
		return "", err
	}
	defer free()
	m, err := v.message(ctx, id, false)
	if err != nil {
		return "", err
	}
	defer m.Close()
	as := wordOf(spam)
	m.state.Reported = as
	told = m.want(spam)
	if err := m.save("reported"); err != nil {
		return "", fmt.Errorf("quarantine: %w", err)
	}
	m.wanted()
	v.tell(&Change{What: Told, ID: id, From: m.From.Text, By: by, Class: m.Class, Said: as + "; " + told})
	return told, nil
}

// Forward sends a message, whole and as it came in, to somebody who looks at it: as an attachment of message/rfc822, so that
// nothing opens it by itself. It goes only where we serve the domain.
func (v *Vault) Forward(ctx context.Context, id gateway.ID, to gateway.Address, by string) (Result, error) {
	if v.opts.Way == nil || v.opts.NextHop == nil || v.opts.IDs == nil {
		return Result{}, errors.New("nothing can be forwarded: there is no next hop")
	}
	final, route, err := v.opts.Way(to)
	if err != nil {
		return Result{}, fmt.Errorf("%s: %w", gateway.CleanText(to.Text, 320), err)
	}
	m, err := v.message(ctx, id, true)
	if err != nil {
		return Result{}, err
	}
	defer m.Close()
	w := &way{leg: leg{Route: route}}
	for _, f := range final {
		w.to = append(w.to, gateway.Recipient{Address: f, Named: to, Route: route, Verified: true, Options: gateway.RcptOptions{Notify: []string{"NEVER"}}})
	}
	res, err := m.forward(ctx, w, by)
	if err != nil {
		return res, err
	}
	res.Rcpts = []string{to.Text}
	c := &Change{What: Forwarded, ID: id, From: m.From.Text, Rcpts: res.Rcpts, By: by, Said: res.Said, Hop: res.Hop, Ref: res.Ref, Class: m.Class}
	if !res.Done {
		c.What = Refused
	}
	v.tell(c)
	return res, nil
}

func (m *message) forward(ctx context.Context, w *way, by string) (res Result, err error) {
	send := func(to func(d *gateway.Delivery) error) error {
		body, err := m.body()
		if err != nil {
			return err
		}
		defer body.Close()
		return to(m.wrapped(w, body, by))
	}
	var relayed gateway.Relayed
	err = send(func(d *gateway.Delivery) error {
		relayed = m.v.opts.NextHop().Relay(context.WithoutCancel(ctx), d)
		return nil
	})
	if err != nil {
		return res, err
	}
	res = Result{Done: relayed.Result == gateway.Delivered, Reply: relayed.Reply, Hop: relayed.NextHop, Said: said(&relayed)}
	if res.Done || !relayed.Unreached() || !m.v.spools(w.Route) {
		return res, nil
	}
	err = send(func(d *gateway.Delivery) error {
		res.Ref = d.ID
		return m.v.spool(ctx, d, gateway.Custody{Arrived: time.Now(), Why: limit("forwarded from quarantine: "+res.Said, 300)})
	})
	if err != nil {
		m.v.log.Warn("quarantine: the spool did not take a message for an analyst", "id", m.id().String(), "error", err)
		res.Ref = 0
		return res, nil
	}
	res.Done, res.Spooled, res.Said = true, true, "in the spool as "+res.Ref.String()+", since "+res.Said
	return res, nil
}

// wrapped is a message of ours that has the other as its attachment. RFC 2046 section 5.2.1 allows that no encoding: it stands
// there as it came in.
func (m *message) wrapped(w *way, body io.Reader, by string) *gateway.Delivery {
	id := m.v.opts.IDs.Next()
	boundary := "gatepost-" + strings.ReplaceAll(id.String(), "-", "")
	encoding := "7bit"
	if m.EightBit {
		encoding = "8bit"
	}
	var b strings.Builder
	line := func(form string, args ...any) { fmt.Fprintf(&b, form+"\r\n", args...) }
	line("From: Gatepost <postmaster@%s>", m.v.opts.Hostname)
	line("To: <%s>", w.to[0].Named.Text)
	line("Date: %s", time.Now().Format("Mon, 02 Jan 2006 15:04:05 -0700"))
	line("Message-ID: <%s@%s>", id, m.v.opts.Hostname)
	line("Subject: Quarantined message %s", m.id())
	line("Auto-Submitted: auto-generated\r\nMIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=%q", boundary)
	line("Content-Transfer-Encoding: %s\r\n", encoding)
	line("--%s\r\nContent-Type: text/plain; charset=us-ascii\r\n", boundary)
	line("Attached is a message from the quarantine, as it came in. Open it with care.\r\n")
	line("Reference:  %s", m.id())
	line("Kept since: %s", m.Arrived.UTC().Format(time.RFC1123))
	line("Class:      %s", m.Class)
	line("Reason:     %s %s (check %s, score %.1f)", orSum(m.Why.Reason), gateway.CleanText(strings.Join(m.Why.Args, ", "), 300), gateway.CleanText(m.Why.Check, 60), m.Verdict.Score)
	line("From:       <%s>", gateway.CleanText(m.From.Text, 320))
	line("Client:     %s", m.Client.Address.Addr())
	line("Sent by:    %s", gateway.CleanText(by, 64))
	line("\r\n--%s\r\nContent-Type: message/rfc822\r\nContent-Transfer-Encoding: %s\r\nContent-Disposition: attachment; filename=\"%s.eml\"\r\n", boundary, encoding, m.id())
	end := "\r\n--" + boundary + "--\r\n"
	return &gateway.Delivery{ID: id, Route: w.Route, Rcpts: w.to, Options: gateway.MailOptions{EightBit: m.EightBit, UTF8: m.UTF8, RequireTLS: m.Mail.RequireTLS},
		Content: gateway.Content{Parts: []io.Reader{strings.NewReader(b.String()), body, strings.NewReader(end)},
			Size: int64(b.Len()+len(end)) + m.Size, EightBit: m.EightBit, UTF8: m.UTF8}}
}

func orSum(r gateway.Reason) string {
	if r == "" {
		return "the sum of points"
	}
	return string(r)
}
