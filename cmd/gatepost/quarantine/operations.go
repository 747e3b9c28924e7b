package quarantine

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"gatepost/cmd/gatepost/maillog"
	"gatepost/gateway"
	"gatepost/gateway/digest"
	"gatepost/gateway/quarantine"
	"gatepost/internal/access"
	"gatepost/internal/api"
	"gatepost/internal/control"
)

// Bounds of what a person can ask of the quarantine.
const (
	keptShown  = 100
	keptAtMost = 10_000 // in a list of the command line
	pageAtMost = 500
	keptAtOnce = 100 // changed by one question; of what waits for a next hop, one
	viewAtMost = 4 << 20
	rawAtMost  = 32 << 20
)

// Desk answers what is asked of the quarantine.
type Desk struct {
	// Vault is the quarantine; its error, a Fault, says why there is none.
	Vault func() (*quarantine.Vault, error)
	// Digests tells of the digests of a recipient, "" for all, and sends them; its error may be a Fault.
	Digests func(ctx context.Context, rcpt string, send bool) ([]digest.Told, error)
	// Told is told what was done to the vault itself, with which key, and by whom.
	Told func(did, key, by string)
	// Shared is what other nodes keep; nil, or what it returns: each node shows its own only.
	Shared func() Others
	// Node is the name of this one.
	Node string
	// Console tells where the console of another node is; "": nobody knows.
	Console func(ctx context.Context, node string) string
	// Address reads an address that mail can go to.
	Address func(text string) (gateway.Address, error)
}

func question(name, method, path, doc string, right access.Right) control.Operation {
	return control.Operation{Name: "quarantine " + name, Method: method, Path: "/quarantine" + path, Doc: doc, Right: right}
}

func listQuestion() control.Operation {
	return question("list", http.MethodGet, "", "List mail in quarantine, the newest first", access.QuarantineRead)
}
func showQuestion() control.Operation {
	return question("show", http.MethodGet, "/{id}", "Tell all that is known of a message in quarantine, and nothing of what is in it", access.QuarantineRead)
}
func viewQuestion() control.Operation {
	o := question("view", http.MethodGet, "/{id}/view", "Show what is in a message in quarantine: its beginning, as it came in", access.QuarantineView)
	o.Shows = true
	return o
}
func rawQuestion() control.Operation {
	o := question("raw", http.MethodGet, "/{id}/message", "Get a message in quarantine itself", access.QuarantineView)
	o.Shows = true
	return o
}
func releaseQuestion() control.Operation {
	return question("release", http.MethodPost, "/release", "Deliver messages, after another look for malware", access.QuarantineChange)
}
func deleteQuestion() control.Operation {
	return question("delete", http.MethodPost, "/delete", "Erase messages, and tell nobody but the journal", access.QuarantineChange)
}
func reportQuestion() control.Operation {
	return question("report", http.MethodPost, "/report", "Note that messages are spam, or are none, and have engines learn it", access.QuarantineChange)
}
func forwardQuestion() control.Operation {
	o := question("forward", http.MethodPost, "/forward", "Send messages to somebody who looks at them, as attachments", access.QuarantineView)
	o.Shows = true
	return o
}
func expireQuestion() control.Operation {
	return question("expire", http.MethodPost, "/expire", "Erase now what was kept for long enough", access.SystemChange)
}
func clearQuestion() control.Operation {
	return question("clear-latch", http.MethodPost, "/clear-latch", "Quarantine mail again after the disk failed and was mended", access.SystemChange)
}
func digestQuestion() control.Operation {
	return question("digest", http.MethodGet, "/digests", "Show which recipients would be told now of mail in quarantine", access.SystemRead)
}
func sendQuestion() control.Operation {
	return question("digest send", http.MethodPost, "/digests", "Tell recipients now of mail in quarantine", access.SystemChange)
}
func keysQuestion() control.Operation {
	return question("key list", http.MethodGet, "/keys", "Show the keys of the quarantine, and how many messages need each", access.SystemRead)
}
func rotateQuestion() control.Operation {
	return question("key rotate", http.MethodPost, "/keys", "Make a key for what comes from now on", access.SystemChange)
}
func forgetQuestion() control.Operation {
	return question("key forget", http.MethodDelete, "/keys/{key}", "Remove a key that no message needs any more", access.SystemChange)
}

// Operations are those of the quarantine.
func (d *Desk) Operations() []control.Operation {
	return []control.Operation{
		control.Define(listQuestion(), d.list), control.Define(showQuestion(), d.show), control.Define(viewQuestion(), d.view), control.Define(rawQuestion(), d.raw),
		control.Define(releaseQuestion(), d.release), control.Define(deleteQuestion(), d.erase), control.Define(reportQuestion(), d.report), control.Define(forwardQuestion(), d.forward),
		control.Define(expireQuestion(), d.expire), control.Define(clearQuestion(), d.clearLatch),
		control.Define(digestQuestion(), func(ctx context.Context, in *api.DigestAsk) (*api.Digests, error) { return d.digests(ctx, in, false) }),
		control.Define(sendQuestion(), func(ctx context.Context, in *api.DigestAsk) (*api.Digests, error) { return d.digests(ctx, in, true) }),
		control.Define(keysQuestion(), d.keys), control.Define(rotateQuestion(), d.rotate), control.Define(forgetQuestion(), d.forget),
	}
}

func bad(field, format string, args ...any) error {
	return &control.Fault{Status: http.StatusBadRequest, Message: field + ": " + fmt.Sprintf(format, args...), Field: field}
}

// filter reads a filter. Enum has looked at its words.
func filter(in *api.KeptAsk) (*quarantine.Filter, error) {
	f := &quarantine.Filter{IDs: in.IDs, From: in.From, To: in.To, Rcpt: in.Rcpt, Subject: in.Subject, Reason: in.Reason, Reported: in.Reported, Damaged: in.Damaged,
		Since: in.Since, Until: in.Until, Limit: in.Limit + 1}
	if in.Class != "" {
		f.Class = new(quarantine.Class)
		if err := f.Class.UnmarshalText([]byte(in.Class)); err != nil {
			return nil, bad("class", "%v", err)
		}
	}
	if in.State != "" {
		f.State = new(quarantine.State)
		if err := f.State.UnmarshalText([]byte(in.State)); err != nil {
			return nil, bad("state", "%v", err)
		}
	}
	if in.Cursor != "" {
		id, err := gateway.ParseID(in.Cursor)
		if err != nil {
			return nil, bad("cursor", "%v", err)
		}
		f.Before = id
	}
	return f, nil
}

// fault words what keeps the quarantine from doing what it was asked for.
func fault(err error) error {
	if _, is := errors.AsType[*control.Fault](err); is || err == nil {
		return err
	}
	f := &control.Fault{Status: http.StatusConflict, Message: err.Error()}
	switch {
	case errors.Is(err, quarantine.ErrNone):
		f.Status, f.Hint = http.StatusNotFound, "gatepost trace tells what became of a message"
	case quarantine.Damaged(err):
		f.Hint = "nothing of it is shown or sent; gatepost quarantine delete removes it"
	case errors.Is(err, quarantine.ErrNoKey):
		f.Hint = "put the file of keys back that has it (vault_key in gatepost.toml)"
	case errors.Is(err, quarantine.ErrInfected), errors.Is(err, quarantine.ErrNotScanned):
		f.Hint = "--force releases it all the same"
	}
	return f
}

func (d *Desk) list(ctx context.Context, in *api.KeptAsk) (*api.KeptList, error) {
	v, err := d.Vault()
	if err != nil {
		return nil, err
	}
	f, err := filter(in)
	if err != nil {
		return nil, err
	}
	actor := access.Of(ctx)
	f.Domains = actor.Domains
	rows, err := v.Find(ctx, f)
	if err != nil {
		return nil, err
	}
	out := &api.KeptList{Messages: []quarantine.Row{}}
	rows, out.Node, out.Trouble = d.withOthers(ctx, f, rows)
	if len(rows) > in.Limit {
		rows = rows[:in.Limit]
		out.Next = rows[in.Limit-1].ID.String()
	}
	for i := range rows {
		if boundRow(&actor, &rows[i]) {
			out.Messages = append(out.Messages, rows[i])
		}
	}
	if actor.Everywhere() {
		s := v.Status(ctx)
		out.Status = &s
	}
	return out, nil
}

// boundRow leaves of a message the copies that an actor sees: false where there is none.
func boundRow(a *access.Actor, r *quarantine.Row) bool {
	if !a.Everywhere() {
		r.Rcpts = slices.DeleteFunc(slices.Clone(r.Rcpts), func(to quarantine.RowRcpt) bool { return !a.SeesAny(to.Address) })
	}
	return a.Everywhere() || len(r.Rcpts) > 0
}

// row is what the index knows of a message, as the actor sees it.
func (d *Desk) row(ctx context.Context, id gateway.ID) (*quarantine.Row, error) {
	v, err := d.Vault()
	if err != nil {
		return nil, err
	}
	rows, err := v.Find(ctx, &quarantine.Filter{IDs: []gateway.ID{id}, Limit: 1})
	if err != nil {
		return nil, err
	}
	if actor := access.Of(ctx); len(rows) == 0 || !boundRow(&actor, &rows[0]) {
		return nil, fmt.Errorf("%s: %w", id, quarantine.ErrNone)
	}
	return &rows[0], nil
}

// look reads a message for the actor: what is known of it, and its first octets.
func (d *Desk) look(ctx context.Context, text string, most int64) (*quarantine.Looked, error) {
	id, err := gateway.ParseID(text)
	if err != nil {
		return nil, bad("id", "%v", err)
	}
	v, err := d.Vault()
	if err != nil {
		return nil, err
	}
	actor := access.Of(ctx)
	if !actor.Everywhere() { // what he does not see is not looked at: a look is told
		switch _, err := d.row(ctx, id); {
		case errors.Is(err, quarantine.ErrNone):
			return nil, d.failed(ctx, id, err)
		case err != nil:
			return nil, err
		}
	}
	l, err := v.Look(ctx, id, gateway.CleanText(actor.Name, 64), most)
	if err != nil {
		return nil, d.failed(ctx, id, err)
	}
	if actor.Everywhere() {
		return l, nil
	}
	if l.File = ""; !boundRow(&actor, &l.Row) {
		return nil, fault(fmt.Errorf("%s: %w", id, quarantine.ErrNone))
	}
	e := &gateway.Event{Kind: gateway.TransactionEvent, Record: l.Record, Evidence: l.Proof}
	if l.Verdict != nil {
		e.Verdict = *l.Verdict
	}
	mine, _ := maillog.Bound(&actor, e)
	if mine == nil {
		l.Record, l.Verdict, l.Proof = nil, nil, nil
		return l, nil
	}
	l.Record, l.Proof = mine.Record, mine.Evidence
	if l.Verdict != nil {
		l.Verdict = &mine.Verdict
	}
	return l, nil
}

func (d *Desk) show(ctx context.Context, in *api.KeptID) (*quarantine.Looked, error) {
	return d.look(ctx, in.ID, 0)
}

func (d *Desk) view(ctx context.Context, in *api.KeptLook) (*quarantine.Looked, error) {
	control.Changed(ctx, control.Change{Object: in.ID})
	if err := control.Why(ctx, in.Why); err != nil {
		return nil, err
	}
	l, err := d.look(ctx, in.ID, viewAtMost)
	if err == nil {
		control.Changed(ctx, control.Change{Object: in.ID, Domain: domainOf(&l.Row)})
	}
	return l, err
}

// domainOf is the domain of a message in quarantine, for the audit log; "" where it is for several.
func domainOf(r *quarantine.Row) (domain string) {
	for _, to := range r.Rcpts {
		of := strings.ToLower(api.Domain(to.Address))
		if domain != "" && of != domain {
			return ""
		}
		domain = of
	}
	return domain
}

func (d *Desk) raw(ctx context.Context, in *api.KeptLook) (*control.File, error) {
	control.Changed(ctx, control.Change{Object: in.ID})
	if err := control.Why(ctx, in.Why); err != nil {
		return nil, err
	}
	l, err := d.look(ctx, in.ID, rawAtMost+1)
	if err != nil {
		return nil, err
	}
	control.Changed(ctx, control.Change{Object: in.ID, Domain: domainOf(&l.Row)})
	if len(l.Message) > rawAtMost {
		return nil, &control.Fault{Status: http.StatusRequestEntityTooLarge, Message: "the message is too large to be handed out", Hint: "gatepost quarantine forward sends it to somebody as an attachment"}
	}
	return &control.File{Name: l.Row.ID.String() + ".eml", Type: "message/rfc822", Data: l.Message}, nil
}
