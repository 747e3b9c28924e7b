// Package audit is the noun audit: the operations that list who did what and check the chain of entries, and their commands.
//
// It keeps nothing: entries are those of internal/audit. No RFC applies.
package audit

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"sync"
	"time"

	"gatepost/internal/access"
	"gatepost/internal/api"
	"gatepost/internal/audit"
	"gatepost/internal/control"
)

// Desk is what the operations work with.
type Desk struct {
	Store func() audit.Store
	Log   func() *audit.Log
	one   sync.Mutex // the chain is gone through by one at a time
}

// listQuestion and verifyQuestion are what is asked of the daemon.
func listQuestion() control.Operation {
	return control.Operation{Name: "audit list", Method: http.MethodGet, Path: "/audit", Right: access.AuditRead,
		Doc: "List who changed what, looked into mail, or was refused, the newest first"}
}

// exportMost is how many entries a file has at the most: more are refused, and never left out.
const exportMost = 50_000

// exportPage is how many are read at once.
const exportPage = 1000

func exportQuestion() control.Operation {
	return control.Operation{Name: "audit export", Method: http.MethodGet, Path: "/audit/export", Right: access.AuditRead, Time: 5 * time.Minute,
		Doc: "Get entries as a file, one JSON object a line, the newest first"}
}

// To check the chain tells nothing of what is in it, and it is of the whole installation.
func verifyQuestion() control.Operation {
	return control.Operation{Name: "audit verify", Method: http.MethodGet, Path: "/audit/verify", Right: access.SystemRead, Time: 5 * time.Minute,
		Doc: "Go through the chain of entries and tell the first that was changed, removed or put in later"}
}

// Operations are those of the audit log.
func (d *Desk) Operations() []control.Operation {
	return []control.Operation{control.Define(listQuestion(), d.list), control.Define(exportQuestion(), d.export), control.Define(verifyQuestion(), d.verify)}
}

// picked are the entries that somebody asks for and may see. Who has some domains only sees what belongs to them: what is of none
// belongs to the installation.
func picked(ctx context.Context, in *api.AuditPick) audit.Filter {
	f := audit.Filter{Actor: in.Actor, Operation: in.Operation, Object: in.Object, Domain: in.Domain, From: in.Since, To: in.Until}
	if who := access.Of(ctx); !who.Everywhere() {
		f.Domains = append([]string{}, who.Domains...)
	}
	return f
}

// export makes a file of all that is asked for.
func (d *Desk) export(ctx context.Context, in *api.AuditPick) (*control.File, error) {
	f := picked(ctx, in)
	f.Most = exportPage
	var b bytes.Buffer
	for n := 0; ; {
		rows, err := d.Store().List(ctx, f)
		if err != nil {
			return nil, away(err)
		}
		if n += len(rows); n > exportMost {
			return nil, &control.Fault{Status: http.StatusRequestEntityTooLarge, Message: fmt.Sprintf("there are more than %d entries", exportMost), Hint: "ask for a shorter time by since and until"}
		}
		for i := range rows {
			line, err := json.Marshal(api.AuditEntry(rows[i].Entry))
			if err != nil {
				return nil, err
			}
			b.Write(append(line, '\n'))
		}
		if len(rows) < f.Most {
			return &control.File{Name: "gatepost-audit.jsonl", Type: "application/jsonl", Data: b.Bytes()}, nil
		}
		f.Below = rows[len(rows)-1].Number
	}
}

// list lists a part of them.
func (d *Desk) list(ctx context.Context, in *api.AuditQuery) (*api.AuditList, error) {
	f := picked(ctx, &in.AuditPick)
	f.Most = in.Limit
	if in.Cursor != "" {
		n, err := strconv.ParseInt(in.Cursor, 10, 64)
		if err != nil || n < 1 {
			return nil, &control.Fault{Status: http.StatusBadRequest, Message: "cursor: is none of ours", Field: "cursor"}
		}
		f.Below = n
	}
	rows, err := d.Store().List(ctx, f)
	if err != nil {
		return nil, away(err)
	}
	out := &api.AuditList{Entries: make([]api.AuditEntry, len(rows))}
	for i := range rows {
		out.Entries[i] = api.AuditEntry(rows[i].Entry)
	}
	if len(rows) == in.Limit {
		if last := rows[len(rows)-1].Number; last > 1 {
			out.Next = strconv.FormatInt(last, 10)
		}
	}
	return out, nil
}

// verify checks the chain, against what this node saw of it before.
func (d *Desk) verify(ctx context.Context, _ *struct{}) (*api.AuditReport, error) {
	if !d.one.TryLock() {
		return nil, &control.Fault{Status: http.StatusConflict, Message: "the chain is being checked already", Hint: "wait until that is done"}
	}
	defer d.one.Unlock()
	seen, err := d.Log().Seen()
	if err != nil {
		return nil, err
	}
	r, err := audit.Verify(ctx, d.Store(), seen...)
	if err != nil {
		return nil, away(err)
	}
	out := api.AuditReport(r)
	return &out, nil
}

// away says that the store cannot be read now.
func away(err error) error {
	return &control.Fault{Status: http.StatusServiceUnavailable, Message: err.Error(), Hint: "entries are noted meanwhile, and wait on disk"}
}
