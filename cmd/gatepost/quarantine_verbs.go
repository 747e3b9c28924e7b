package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"gatepost/gateway"
	"gatepost/gateway/journal"
	"gatepost/gateway/quarantine"
	"gatepost/internal/control"
	"gatepost/internal/routing"
)

// Bounds of what a person can ask of the quarantine.
const (
	keptShown  = 100
	keptAtMost = 10_000 // in a list
	keptAtOnce = 100    // changed by one question; of what waits for a next hop, one
	viewAtMost = 4 << 20
	rawAtMost  = 32 << 20
)

// keptList is what gatepost quarantine list shows.
type keptList struct {
	Messages []quarantine.Row  `json:"messages"` // the newest first
	More     bool              `json:"more"`     // there are more that the filter picks
	Status   quarantine.Status `json:"status"`
}

// keptDo is what a person wants done.
type keptDo struct {
	Verb  string       `json:"verb"` // release, delete, report, forward
	IDs   []gateway.ID `json:"ids"`
	Rcpts []string     `json:"rcpts,omitempty"`
	To    string       `json:"to,omitempty"`
	Force bool         `json:"force,omitempty"`
	Spam  bool         `json:"spam,omitempty"`
	By    string       `json:"by"`
}

// keptDone is what became of one message.
type keptDone struct {
	ID      gateway.ID          `json:"id"`
	Error   string              `json:"error,omitempty"`
	Results []quarantine.Result `json:"results,omitempty"`
	Said    string              `json:"said,omitempty"`
}

// keptFilter reads a filter of a query, as keptFlags writes it.
func keptFilter(q url.Values) (*quarantine.Filter, error) {
	f := &quarantine.Filter{From: q.Get("from"), To: q.Get("to"), Rcpt: q.Get("rcpt"), Subject: q.Get("subject"), Reason: q.Get("reason"),
		Reported: q.Get("reported"), Damaged: q.Get("damaged") != ""}
	for _, text := range q["id"] {
		id, err := gateway.ParseID(text)
		if err != nil {
			return nil, err
		}
		f.IDs = append(f.IDs, id)
	}
	if text := q.Get("class"); text != "" {
		f.Class = new(quarantine.Class)
		if err := f.Class.UnmarshalText([]byte(text)); err != nil {
			return nil, err
		}
	}
	if text := q.Get("state"); text != "" {
		f.State = new(quarantine.State)
		if err := f.State.UnmarshalText([]byte(text)); err != nil {
			return nil, err
		}
	}
	for name, at := range map[string]*time.Time{"since": &f.Since, "until": &f.Until} {
		if text := q.Get(name); text != "" {
			t, err := time.Parse(time.RFC3339Nano, text)
			if err != nil {
				return nil, err
			}
			*at = t
		}
	}
	if text := q.Get("before"); text != "" {
		id, err := gateway.ParseID(text)
		if err != nil {
			return nil, err
		}
		f.Before = id
	}
	return f, nil
}

// theVault is the quarantine, where it could be opened.
func (d *daemon) theVault() (*quarantine.Vault, error) {
	if d.vault == nil {
		return nil, &control.Fault{Status: http.StatusConflict, Message: "the quarantine could not be opened: " + d.vaultError}
	}
	return d.vault, nil
}

// keptFault words what keeps the quarantine from doing what it was asked for.
func keptFault(err error) error {
	if err == nil {
		return nil
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

// who names who asks, for the journal: the name that he gave, and the user that the kernel names.
func who(ctx context.Context, said string) string {
	said = gateway.CleanText(said, 64)
	if uid, ok := control.Peer(ctx); ok {
		return fmt.Sprintf("%s (uid %d)", said, uid)
	}
	return said
}

// keptListVerb answers gatepost quarantine list.
func (d *daemon) keptListVerb(ctx context.Context, r *http.Request) (any, error) {
	v, err := d.theVault()
	if err != nil {
		return nil, err
	}
	q := r.URL.Query()
	limit, err := strconv.Atoi(q.Get("limit"))
	f, bad := keptFilter(q)
	if err != nil || limit < 1 || limit > keptAtMost || bad != nil {
		return nil, &control.Fault{Status: http.StatusBadRequest, Message: errors.Join(err, bad, errors.New("limit is a number from 1 to "+strconv.Itoa(keptAtMost))).Error()}
	}
	f.Limit = limit + 1
	out := &keptList{Status: v.Status(ctx)}
	if out.Messages, err = v.Find(ctx, f); err != nil {
		return nil, err
	}
	if len(out.Messages) > limit {
		out.Messages, out.More = out.Messages[:limit], true
	}
	return out, nil
}

// keptShowVerb answers gatepost quarantine show and view.
func (d *daemon) keptShowVerb(ctx context.Context, r *http.Request) (any, error) {
	v, err := d.theVault()
	if err != nil {
		return nil, err
	}
	q := r.URL.Query()
	id, err := gateway.ParseID(q.Get("id"))
	if err != nil {
		return nil, &control.Fault{Status: http.StatusBadRequest, Message: err.Error()}
	}
	most := int64(0)
	switch {
	case q.Get("raw") != "":
		most = rawAtMost + 1
	case q.Get("view") != "":
		most = viewAtMost
	}
	l, err := v.Look(ctx, id, who(ctx, q.Get("by")), most)
	if err == nil && len(l.Message) > rawAtMost {
		return nil, &control.Fault{Status: http.StatusRequestEntityTooLarge, Message: "the message is too large for this socket", Hint: "gatepost quarantine forward sends it to somebody as an attachment"}
	}
	return l, keptFault(err)
}

// keptDoVerb answers what changes messages.
func (d *daemon) keptDoVerb(ctx context.Context, r *http.Request) (any, error) {
	v, err := d.theVault()
	if err != nil {
		return nil, err
	}
	var a keptDo
	if err := json.NewDecoder(r.Body).Decode(&a); err != nil {
		return nil, &control.Fault{Status: http.StatusBadRequest, Message: err.Error()}
	}
	var to *gateway.Address
	if a.To != "" {
		parsed, err := routing.Address(a.To)
		if err != nil {
			return nil, &control.Fault{Status: http.StatusBadRequest, Message: fmt.Sprintf("%q is no address; write it whole, as info@example.org", gateway.CleanText(a.To, 320))}
		}
		to = &parsed
	}
	if len(a.IDs) == 0 || len(a.IDs) > keptAtOnce || a.Verb == "forward" && to == nil {
		return nil, &control.Fault{Status: http.StatusBadRequest, Message: "the messages, or the address, are not named, or too many at once"}
	}
	by := who(ctx, a.By)
	out := make([]keptDone, 0, len(a.IDs))
	for _, id := range a.IDs {
		done := keptDone{ID: id}
		switch a.Verb {
		case "release":
			done.Results, err = v.Release(ctx, &quarantine.Release{ID: id, Rcpts: a.Rcpts, To: to, By: by, Force: a.Force})
		case "delete":
			err = v.Delete(ctx, id, a.Rcpts, by)
		case "report":
			done.Said, err = v.Report(ctx, id, a.Spam, by)
		case "forward":
			var res quarantine.Result
			if res, err = v.Forward(ctx, id, *to, by); err == nil {
				done.Results = []quarantine.Result{res}
			}
		default:
			return nil, &control.Fault{Status: http.StatusBadRequest, Message: "no such verb"}
		}
		if err != nil {
			done.Error = gateway.CleanText(keptFault(err).Error(), 400)
		}
		out = append(out, done)
	}
	return out, nil
}

// keptExpireVerb answers gatepost quarantine expire.
func (d *daemon) keptExpireVerb(ctx context.Context, _ *http.Request) (any, error) {
	v, err := d.theVault()
	if err != nil {
		return nil, err
	}
	return map[string]int{"expired": v.Expire(ctx)}, nil
}

// keptClearVerb answers gatepost quarantine clear-latch.
func (d *daemon) keptClearVerb(ctx context.Context, r *http.Request) (any, error) {
	v, err := d.theVault()
	if err != nil {
		return nil, err
	}
	before := v.Status(ctx).Latched
	if before == "" {
		return nil, &control.Fault{Status: http.StatusConflict, Message: "the quarantine is not shut", Hint: "nothing was changed"}
	}
	if err := v.Unlatch(); err != nil {
		return nil, &control.Fault{Status: http.StatusConflict, Message: "the disk still fails: " + err.Error(), Hint: "the quarantine stays shut, and what should go there is deferred"}
	}
	d.journal.Daemon(journal.QuarantineOperator, slog.String("did", "cleared"), slog.String("by", who(ctx, r.URL.Query().Get("by"))))
	return map[string]string{"was": before}, nil
}

// keptKeysVerb answers gatepost quarantine key list, rotate and forget.
func (d *daemon) keptKeysVerb(ctx context.Context, r *http.Request) (any, error) {
	v, err := d.theVault()
	if err != nil {
		return nil, err
	}
	q := r.URL.Query()
	did, id := "", q.Get("forget")
	switch {
	case r.Method == http.MethodGet:
	case id != "":
		did, err = "forgot key", v.ForgetKey(ctx, id)
	default:
		did = "made key"
		id, err = v.RotateKey()
	}
	if err != nil {
		return nil, keptFault(err)
	}
	if did != "" {
		d.journal.Daemon(journal.QuarantineOperator, slog.String("did", did), slog.String("key", gateway.CleanText(id, 20)), slog.String("by", who(ctx, q.Get("by"))))
	}
	keys, err := v.Keys(ctx)
	return keys, keptFault(err)
}
