package admin

import (
	"context"
	"time"

	"gatepost/internal/accounts"
)

// sessionColumns are those of an accounts.Session, of the table under the name s.
const sessionColumns = "s.digest, s.id, s.account, s.epoch, s.created, s.seen, s.proved, s.address, s.agent, s.how, s.pending, s.data, s.source"

// sessionRow is what sessionColumns are read into.
type sessionRow struct {
	s                              accounts.Session
	digest                         []byte
	created, seen, proved, pending int64
}

func (r *sessionRow) into() []any {
	return []any{&r.digest, &r.s.ID, &r.s.User, &r.s.Epoch, &r.created, &r.seen, &r.proved, &r.s.Address, &r.s.Agent, &r.s.How, &r.pending, &r.s.Data, &r.s.Source}
}

func (r *sessionRow) session() accounts.Session {
	copy(r.s.Digest[:], r.digest)
	r.s.Created, r.s.Seen, r.s.Proved, r.s.Pending = Time(r.created), Time(r.seen), Time(r.proved), r.pending != 0
	return r.s
}

func putSession(tx *Tx, s accounts.Session) error {
	_, err := tx.Exec("INSERT INTO account_session (digest, id, account, epoch, created, seen, proved, address, agent, how, pending, data, source) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
		s.Digest[:], s.ID, s.User, s.Epoch, Micros(s.Created), Micros(s.Seen), Micros(s.Proved), s.Address, s.Agent, s.How, truth(s.Pending), octets(s.Data), s.Source)
	return err
}

// PutSession implements accounts.Store.
func (a *Accounts) PutSession(ctx context.Context, s accounts.Session) error {
	return a.write(ctx, func(tx *Tx) error { return putSession(tx, s) })
}

// Session implements accounts.Store.
func (a *Accounts) Session(ctx context.Context, token accounts.Digest) (s accounts.Session, u accounts.User, err error) {
	err = a.read(ctx, func(tx *Tx) error {
		var r sessionRow
		var of userRow
		err := tx.One("SELECT "+sessionColumns+", "+userColumns+" FROM account_session s JOIN account a ON a.id = s.account WHERE s.digest = ?",
			[]any{token[:]}, append(r.into(), of.into()...)...)
		if err == nil {
			s = r.session()
			u, err = of.user()
		}
		return err
	})
	return s, u, err
}

// ReplaceSession implements accounts.Store.
func (a *Accounts) ReplaceSession(ctx context.Context, old accounts.Digest, s accounts.Session) (did bool, err error) {
	err = a.write(ctx, func(tx *Tx) error {
		n, err := tx.Exec("DELETE FROM account_session WHERE digest = ?", old[:])
		if err != nil || n == 0 {
			return err
		}
		did = true
		return putSession(tx, s)
	})
	return did && err == nil, err
}

// TouchSession implements accounts.Store.
func (a *Accounts) TouchSession(ctx context.Context, token accounts.Digest, seen time.Time) error {
	_, err := a.exec(ctx, "UPDATE account_session SET seen = ? WHERE digest = ?", Micros(seen), token[:])
	return err
}

// Sessions implements accounts.Store.
func (a *Accounts) Sessions(ctx context.Context, user string) (all []accounts.Session, err error) {
	where, args := "", []any(nil)
	if user != "" {
		where, args = " AND s.account = ?", []any{user}
	}
	err = a.read(ctx, func(tx *Tx) error {
		return tx.Each("SELECT "+sessionColumns+" FROM account_session s WHERE s.pending = 0"+where+" ORDER BY s.created DESC, s.id", args, func(scan func(...any) error) error {
			var r sessionRow
			err := scan(r.into()...)
			all = append(all, r.session())
			return err
		})
	})
	return all, err
}

// EndSession implements accounts.Store.
func (a *Accounts) EndSession(ctx context.Context, user, id string) (bool, error) {
	return a.exec(ctx, "DELETE FROM account_session WHERE account = ? AND id = ?", user, id)
}

// EndSessions implements accounts.Store.
func (a *Accounts) EndSessions(ctx context.Context, user, except string) (n int, err error) {
	err = a.write(ctx, func(tx *Tx) error {
		ended, err := tx.Exec("DELETE FROM account_session WHERE account = ? AND id <> ?", user, except)
		n = int(ended)
		return err
	})
	return n, err
}

// tokenColumns are those of an accounts.Token, of the table under the name t.
const tokenColumns = "t.digest, t.id, t.account, t.name, t.rights, t.domains, t.created, t.expires, t.used, t.used_from"

// tokenRow is what tokenColumns are read into.
type tokenRow struct {
	t                      accounts.Token
	digest                 []byte
	rights, domains        string
	created, expires, used int64
}

func (r *tokenRow) into() []any {
	return []any{&r.digest, &r.t.ID, &r.t.User, &r.t.Name, &r.rights, &r.domains, &r.created, &r.expires, &r.used, &r.t.UsedFrom}
}

func (r *tokenRow) token() (accounts.Token, error) {
	copy(r.t.Digest[:], r.digest)
	r.t.Created, r.t.Expires, r.t.Used = Time(r.created), Time(r.expires), Time(r.used)
	if err := unpackWords(r.rights, &r.t.Rights); err != nil {
		return r.t, err
	}
	return r.t, unpackWords(r.domains, &r.t.Domains)
}

// PutToken implements accounts.Store.
func (a *Accounts) PutToken(ctx context.Context, t accounts.Token) error {
	_, err := a.exec(ctx, "INSERT INTO account_token (digest, id, account, name, rights, domains, created, expires, used, used_from) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
		t.Digest[:], t.ID, t.User, t.Name, packWords(t.Rights), packWords(t.Domains), Micros(t.Created), Micros(t.Expires), Micros(t.Used), t.UsedFrom)
	return err
}

// Token implements accounts.Store.
func (a *Accounts) Token(ctx context.Context, token accounts.Digest) (t accounts.Token, u accounts.User, err error) {
	err = a.read(ctx, func(tx *Tx) error {
		var r tokenRow
		var of userRow
		if err := tx.One("SELECT "+tokenColumns+", "+userColumns+" FROM account_token t JOIN account a ON a.id = t.account WHERE t.digest = ?",
			[]any{token[:]}, append(r.into(), of.into()...)...); err != nil {
			return err
		}
		if t, err = r.token(); err != nil {
			return err
		}
		u, err = of.user()
		return err
	})
	return t, u, err
}

// Tokens implements accounts.Store.
func (a *Accounts) Tokens(ctx context.Context, user string) (all []accounts.Token, err error) {
	where, args := "", []any(nil)
	if user != "" {
		where, args = " WHERE t.account = ?", []any{user}
	}
	err = a.read(ctx, func(tx *Tx) error {
		return tx.Each("SELECT "+tokenColumns+" FROM account_token t"+where+" ORDER BY t.created DESC, t.id", args, func(scan func(...any) error) error {
			var r tokenRow
			if err := scan(r.into()...); err != nil {
				return err
			}
			t, err := r.token()
			all = append(all, t)
			return err
		})
	})
	return all, err
}

// TouchToken implements accounts.Store.
func (a *Accounts) TouchToken(ctx context.Context, token accounts.Digest, at time.Time, from string) error {
	_, err := a.exec(ctx, "UPDATE account_token SET used = ?, used_from = ? WHERE digest = ?", Micros(at), from, token[:])
	return err
}

// RemoveToken implements accounts.Store.
func (a *Accounts) RemoveToken(ctx context.Context, id string) (bool, error) {
	return a.exec(ctx, "DELETE FROM account_token WHERE id = ?", id)
}

// PutCode implements accounts.Store.
func (a *Accounts) PutCode(ctx context.Context, user string, code accounts.Digest, expires time.Time) error {
	_, err := a.exec(ctx, "INSERT INTO account_code (account, digest, expires) VALUES (?, ?, ?) ON CONFLICT (account) DO UPDATE SET digest = excluded.digest, expires = excluded.expires",
		user, code[:], Micros(expires))
	return err
}

// Code implements accounts.Store.
func (a *Accounts) Code(ctx context.Context, code accounts.Digest, now time.Time) (user string, err error) {
	err = a.read(ctx, func(tx *Tx) error {
		return tx.One("SELECT account FROM account_code WHERE digest = ? AND expires > ?", []any{code[:], Micros(now)}, &user)
	})
	return user, err
}

// TakeCode implements accounts.Store.
func (a *Accounts) TakeCode(ctx context.Context, code accounts.Digest) (bool, error) {
	return a.exec(ctx, "DELETE FROM account_code WHERE digest = ?", code[:])
}

// Sweep implements accounts.Store.
func (a *Accounts) Sweep(ctx context.Context, now, idle, old, pending time.Time) error {
	return a.write(ctx, func(tx *Tx) error {
		if _, err := tx.Exec("DELETE FROM account_session WHERE seen < ? OR created < ? OR pending = 1 AND created < ?", Micros(idle), Micros(old), Micros(pending)); err != nil {
			return err
		}
		if _, err := tx.Exec("DELETE FROM account_token WHERE expires <= ?", Micros(now)); err != nil {
			return err
		}
		_, err := tx.Exec("DELETE FROM account_code WHERE expires <= ?", Micros(now))
		return err
	})
}
