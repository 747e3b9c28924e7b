package admin

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"gatepost/internal/audit"
)

// Audit keeps the audit log (audit.Store).
type Audit struct{ db *DB }

// Audit is the audit log of these control data.
func (db *DB) Audit() Audit { return Audit{db} }

// auditColumns are those of an audit.Row, in the order in which it is read and written.
const auditColumns = "number, time, node, actor, role, via, address, operation, object, domain, asked, before, after, error, source, erased, digest, hash"

// auditMost is how many entries are read at once at most.
const auditMost = 1000

// Append implements audit.Store.
func (a Audit) Append(ctx context.Context, entries []audit.Entry) (head audit.Head, err error) {
	err = a.db.Write(ctx, func(tx *Tx) error {
		head, err = appendAudit(tx, entries)
		return err
	})
	return head, err
}

// appendAudit puts entries at the end. Under the lock no other node does, so that the chain has one end.
func appendAudit(tx *Tx, entries []audit.Entry) (audit.Head, error) {
	if err := tx.Lock("audit"); err != nil {
		return audit.Head{}, err
	}
	var last audit.Head
	var sum []byte
	err := tx.One("SELECT number, hash FROM audit ORDER BY number DESC LIMIT 1", nil, &last.Number, &sum)
	if err != nil && err != ErrNone {
		return last, err
	}
	if err == nil {
		if last.Hash, err = hashOf(last.Number, sum); err != nil {
			return last, err
		}
	}
	for i := range entries {
		e := entries[i]
		var there int64
		if err := tx.One("SELECT count(*) FROM audit WHERE source = ?", []any{e.Source}, &there); err != nil {
			return last, err
		}
		if there > 0 {
			continue
		}
		digest := e.Digest()
		last = audit.Head{Number: last.Number + 1, Hash: audit.Chain(last.Hash, last.Number+1, digest)}
		if _, err := tx.Exec("INSERT INTO audit ("+auditColumns+") VALUES (?"+strings.Repeat(", ?", 17)+")", last.Number, Micros(e.Time), e.Node, e.Actor, e.Role, e.Via,
			e.Address, e.Operation, e.Object, e.Domain, e.Asked, e.Before, e.After, e.Error, e.Source, 0, digest[:], last.Hash[:]); err != nil {
			return last, err
		}
	}
	return last, nil
}

// hashOf reads a hash of a row.
func hashOf(number int64, octets []byte) (audit.Hash, error) {
	if len(octets) != len(audit.Hash{}) {
		return audit.Hash{}, fmt.Errorf("audit: entry %d has no hash", number)
	}
	return audit.Hash(octets), nil
}

// List implements audit.Store.
func (a Audit) List(ctx context.Context, f audit.Filter) ([]audit.Row, error) {
	var where strings.Builder
	var args []any
	add := func(condition string, arg any, is bool) {
		if is {
			where.WriteString(" AND " + condition)
			args = append(args, arg)
		}
	}
	add("actor = ?", f.Actor, f.Actor != "")
	add("operation = ?", f.Operation, f.Operation != "")
	add("object = ?", f.Object, f.Object != "")
	add("domain = ?", f.Domain, f.Domain != "")
	if f.Domains != nil {
		if len(f.Domains) == 0 {
			return nil, nil
		}
		where.WriteString(" AND domain IN (?" + strings.Repeat(", ?", len(f.Domains)-1) + ")")
		for _, d := range f.Domains {
			args = append(args, d)
		}
	}
	add("time >= ?", Micros(f.From), !f.From.IsZero())
	add("time < ?", Micros(f.To), !f.To.IsZero())
	add("number < ?", f.Below, f.Below > 0)
	most := f.Most
	if most <= 0 {
		most = 100
	}
	return a.rows(ctx, where.String()+" ORDER BY number DESC LIMIT ?", append(args, min(most, auditMost)))
}

// Walk implements audit.Store.
func (a Audit) Walk(ctx context.Context, after int64, most int) ([]audit.Row, error) {
	return a.rows(ctx, " AND number > ? ORDER BY number LIMIT ?", []any{after, min(most, auditMost)})
}

// rows reads entries.
func (a Audit) rows(ctx context.Context, tail string, args []any) (out []audit.Row, err error) {
	err = a.db.Read(ctx, func(tx *Tx) error {
		out, err = auditRows(tx, tail, args)
		return err
	})
	return out, err
}

// auditRows reads entries. A digest that is none is left empty, for Verify to find.
func auditRows(tx *Tx, tail string, args []any) (out []audit.Row, err error) {
	err = tx.Each("SELECT "+auditColumns+" FROM audit WHERE 1 = 1"+tail, args, func(scan func(...any) error) error {
		var r audit.Row
		var at, erased int64
		var digest, hash []byte
		if err := scan(&r.Number, &at, &r.Node, &r.Actor, &r.Role, &r.Via, &r.Address, &r.Operation, &r.Object, &r.Domain, &r.Asked, &r.Before,
			&r.After, &r.Error, &r.Source, &erased, &digest, &hash); err != nil {
			return err
		}
		r.Time, r.Erased = Time(at), erased != 0
		if len(digest) == len(r.Digest) {
			r.Digest = audit.Hash(digest)
		}
		if len(hash) == len(r.Hash) {
			r.Hash = audit.Hash(hash)
		}
		out = append(out, r)
		return nil
	})
	return out, err
}

// Erase implements audit.Store. The source of an entry stays, so that none is appended twice.
func (a Audit) Erase(ctx context.Context, older time.Time, by audit.Entry) (n int64, err error) {
	err = a.db.Write(ctx, func(tx *Tx) error {
		if err := tx.Lock("audit"); err != nil {
			return err
		}
		// All below the first that is young enough: times of two nodes may lie across each other.
		var first, last int64
		err := tx.One("SELECT coalesce(min(number), 0) FROM audit WHERE time >= ?", []any{Micros(older)}, &first)
		if err == nil {
			err = tx.One("SELECT coalesce(max(number), 0) FROM audit WHERE erased = 0 AND (? = 0 OR number < ?)", []any{first, first}, &last)
		}
		if err != nil || last == 0 {
			n = 0
			return err
		}
		n, err = tx.Exec("UPDATE audit SET node = '', actor = '', role = '', via = '', address = '', operation = '', object = '', domain = '', "+
			"asked = '', before = '', after = '', error = '', erased = ? WHERE erased = 0 AND number <= ?", Micros(by.Time), last)
		if err != nil {
			return err
		}
		by.Operation, by.Object = audit.EraseOperation, strconv.FormatInt(last, 10)
		_, err = appendAudit(tx, []audit.Entry{by})
		return err
	})
	return n, err
}
