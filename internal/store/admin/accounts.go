package admin

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"time"

	"gatepost/internal/accounts"
)

// Accounts keeps users, and what proves them; it implements accounts.Store.
type Accounts struct{ db *DB }

// Accounts are those of the control data.
func (db *DB) Accounts() *Accounts { return &Accounts{db} }

// accountsLock is held by whatever reads users and writes them by what it read.
const accountsLock = "accounts"

// read runs a transaction that changes nothing, and write one that does: what is not there is told in the words of package accounts.
func (a *Accounts) read(ctx context.Context, do func(tx *Tx) error) error {
	return noAccount(a.db.Read(ctx, do))
}

func (a *Accounts) write(ctx context.Context, do func(tx *Tx) error) error {
	return noAccount(a.db.Write(ctx, do))
}

func noAccount(err error) error {
	if errors.Is(err, ErrNone) {
		return accounts.ErrNone
	}
	return err
}

// exec runs one statement in a transaction of its own, and reports whether it changed something.
func (a *Accounts) exec(ctx context.Context, query string, args ...any) (bool, error) {
	var n int64
	err := a.write(ctx, func(tx *Tx) (err error) {
		n, err = tx.Exec(query, args...)
		return err
	})
	return n > 0, err
}

// userColumns are those of an accounts.User, of the table under the name a.
const userColumns = `a.id, a.name, a.display, a.mail, a.role, a.domains, a.disabled, a.epoch, a.created, a.login, a.login_from, a.source, a.subject, a.lapsed,
	CASE WHEN a.password = '' THEN 0 ELSE 1 END, CASE WHEN a.totp IS NULL THEN 0 ELSE 1 END, (SELECT count(*) FROM account_passkey p WHERE p.account = a.id)`

// userRow is what userColumns are read into.
type userRow struct {
	u                accounts.User
	domains          string
	disabled, lapsed int64
	password, totp   int64
	created, login   int64
}

func (r *userRow) into() []any {
	return []any{&r.u.ID, &r.u.Name, &r.u.Display, &r.u.Mail, &r.u.Role, &r.domains, &r.disabled, &r.u.Epoch, &r.created, &r.login, &r.u.LoginFrom, &r.u.Source, &r.u.Subject, &r.lapsed,
		&r.password, &r.totp, &r.u.Passkeys}
}

func (r *userRow) user() (accounts.User, error) {
	r.u.Disabled, r.u.Lapsed, r.u.Password, r.u.TOTP = r.disabled != 0, r.lapsed != 0, r.password != 0, r.totp != 0
	r.u.Created, r.u.Login = Time(r.created), Time(r.login)
	return r.u, unpackWords(r.domains, &r.u.Domains)
}

// packWords writes a list into a column.
func packWords[S ~string](list []S) string {
	if len(list) == 0 {
		return ""
	}
	text, _ := json.Marshal(list) // strings always can be
	return string(text)
}

// unpackWords reads it. What cannot be read is an error: no list at all means everything.
func unpackWords[S ~string](text string, list *[]S) error {
	*list = nil
	if text == "" {
		return nil
	}
	err := json.Unmarshal([]byte(text), list)
	if err == nil && len(*list) == 0 {
		err = errors.New("control data: a list that was written is empty")
	}
	return err
}

func truth(b bool) int64 {
	if b {
		return 1
	}
	return 0
}

// octets are those of a column; nil where there are none.
func octets(b []byte) any {
	if b == nil {
		return nil
	}
	return b
}

// Users implements accounts.Store.
func (a *Accounts) Users(ctx context.Context) (all []accounts.User, err error) {
	err = a.read(ctx, func(tx *Tx) (err error) {
		all, err = allUsers(tx)
		return err
	})
	return all, err
}

// allUsers returns them by name, as Go orders names: databases have orders of their own.
func allUsers(tx *Tx) (all []accounts.User, err error) {
	err = tx.Each("SELECT "+userColumns+" FROM account a", nil, func(scan func(...any) error) error {
		var r userRow
		if err := scan(r.into()...); err != nil {
			return err
		}
		u, err := r.user()
		all = append(all, u)
		return err
	})
	slices.SortFunc(all, func(a, b accounts.User) int { return strings.Compare(a.Name, b.Name) })
	return all, err
}

// User implements accounts.Store.
func (a *Accounts) User(ctx context.Context, name string) (accounts.User, error) {
	return a.userBy(ctx, "a.name = ?", name)
}

// UserByID implements accounts.Store.
func (a *Accounts) UserByID(ctx context.Context, id string) (accounts.User, error) {
	return a.userBy(ctx, "a.id = ?", id)
}

func (a *Accounts) userBy(ctx context.Context, where, what string) (u accounts.User, err error) {
	err = a.read(ctx, func(tx *Tx) error {
		var r userRow
		err := tx.One("SELECT "+userColumns+" FROM account a WHERE "+where, []any{what}, r.into()...)
		if err == nil {
			u, err = r.user()
		}
		return err
	})
	return u, err
}

// putUser writes what ChangeUsers may write of a user.
const putUser = `INSERT INTO account (id, name, display, mail, role, domains, disabled, epoch, created, login, login_from, password, totp, step, source, subject, lapsed)
	VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, 0, '', ?, NULL, 0, ?, ?, ?)
	ON CONFLICT (id) DO UPDATE SET name = excluded.name, display = excluded.display, mail = excluded.mail, role = excluded.role,
	domains = excluded.domains, disabled = excluded.disabled, epoch = excluded.epoch,
	source = excluded.source, subject = excluded.subject, lapsed = excluded.lapsed`

func putUserArgs(u accounts.User, phc string) []any {
	return []any{u.ID, u.Name, u.Display, u.Mail, string(u.Role), packWords(u.Domains), truth(u.Disabled), u.Epoch, Micros(u.Created), phc, u.Source, u.Subject, truth(u.Lapsed)}
}

// ChangeUsers implements accounts.Store.
func (a *Accounts) ChangeUsers(ctx context.Context, change func([]accounts.User) ([]accounts.User, []string, error)) error {
	return a.write(ctx, func(tx *Tx) error {
		if err := tx.Lock(accountsLock); err != nil {
			return err
		}
		all, err := allUsers(tx)
		if err != nil {
			return err
		}
		put, remove, err := change(all)
		if err != nil {
			return err
		}
		for _, u := range put {
			if _, err := tx.Exec(putUser, putUserArgs(u, "")...); err != nil {
				return err
			}
		}
		for _, id := range remove {
			if _, err := tx.Exec("DELETE FROM account WHERE id = ?", id); err != nil {
				return err
			}
		}
		return nil
	})
}

// PutFirst implements accounts.Store.
func (a *Accounts) PutFirst(ctx context.Context, u accounts.User, phc string) (did bool, err error) {
	err = a.write(ctx, func(tx *Tx) error {
		if err := tx.Lock(accountsLock); err != nil {
			return err
		}
		var n int64
		if err := tx.One("SELECT count(*) FROM account", nil, &n); err != nil || n > 0 {
			return err
		}
		did = true
		_, err := tx.Exec(putUser, putUserArgs(u, phc)...)
		return err
	})
	return did && err == nil, err
}

// LoggedIn implements accounts.Store.
func (a *Accounts) LoggedIn(ctx context.Context, id string, at time.Time, from string) error {
	there, err := a.exec(ctx, "UPDATE account SET login = ?, login_from = ? WHERE id = ?", Micros(at), from, id)
	if err == nil && !there {
		err = accounts.ErrNone
	}
	return err
}

// Secrets implements accounts.Store.
func (a *Accounts) Secrets(ctx context.Context, id string) (s accounts.Secrets, err error) {
	err = a.read(ctx, func(tx *Tx) error {
		return tx.One("SELECT password, totp, step, (SELECT count(*) FROM account_recovery r WHERE r.account = a.id) FROM account a WHERE a.id = ?",
			[]any{id}, &s.Password, &s.TOTP, &s.Step, &s.Recovery)
	})
	return s, err
}

// SetPassword implements accounts.Store.
func (a *Accounts) SetPassword(ctx context.Context, id, phc string) (epoch int64, err error) {
	err = a.write(ctx, func(tx *Tx) error {
		if err := tx.Lock(accountsLock); err != nil {
			return err
		}
		return tx.One("UPDATE account SET password = ?, epoch = epoch + 1 WHERE id = ? RETURNING epoch", []any{phc, id}, &epoch)
	})
	return epoch, err
}

// Rehash implements accounts.Store.
func (a *Accounts) Rehash(ctx context.Context, id, old, phc string) error {
	_, err := a.exec(ctx, "UPDATE account SET password = ? WHERE id = ? AND password = ?", phc, id, old)
	return err
}

// SetTOTP implements accounts.Store.
func (a *Accounts) SetTOTP(ctx context.Context, id string, sealed []byte, step int64, recovery []accounts.Digest) (epoch int64, err error) {
	err = a.write(ctx, func(tx *Tx) error {
		if err := tx.Lock(accountsLock); err != nil {
			return err
		}
		if err := tx.One("UPDATE account SET totp = ?, step = ?, epoch = epoch + 1 WHERE id = ? RETURNING epoch", []any{octets(sealed), step, id}, &epoch); err != nil {
			return err
		}
		return putRecovery(tx, id, recovery)
	})
	return epoch, err
}

// SetRecovery implements accounts.Store.
func (a *Accounts) SetRecovery(ctx context.Context, id string, codes []accounts.Digest) error {
	return a.write(ctx, func(tx *Tx) error {
		if err := tx.One("SELECT id FROM account WHERE id = ?", []any{id}, &id); err != nil {
			return err
		}
		return putRecovery(tx, id, codes)
	})
}

func putRecovery(tx *Tx, id string, codes []accounts.Digest) error {
	if _, err := tx.Exec("DELETE FROM account_recovery WHERE account = ?", id); err != nil {
		return err
	}
	for _, c := range codes {
		if _, err := tx.Exec("INSERT INTO account_recovery (account, digest) VALUES (?, ?)", id, c[:]); err != nil {
			return err
		}
	}
	return nil
}

// UseStep implements accounts.Store.
func (a *Accounts) UseStep(ctx context.Context, id string, step int64) (bool, error) {
	return a.exec(ctx, "UPDATE account SET step = ? WHERE id = ? AND totp IS NOT NULL AND step < ?", step, id, step)
}

// UseRecovery implements accounts.Store.
func (a *Accounts) UseRecovery(ctx context.Context, id string, code accounts.Digest) (bool, error) {
	return a.exec(ctx, "DELETE FROM account_recovery WHERE account = ? AND digest = ?", id, code[:])
}

// PutPasskey implements accounts.Store.
func (a *Accounts) PutPasskey(ctx context.Context, p accounts.Passkey) error {
	there, err := a.exec(ctx, `INSERT INTO account_passkey (id, account, name, data, created, used) VALUES (?, ?, ?, ?, ?, ?)
		ON CONFLICT (id) DO UPDATE SET name = excluded.name, data = excluded.data, used = excluded.used WHERE account_passkey.account = excluded.account`,
		p.ID, p.User, p.Name, p.Data, Micros(p.Created), Micros(p.Used))
	if err == nil && !there {
		err = accounts.ErrNone // it is another user's
	}
	return err
}

// Passkeys implements accounts.Store.
func (a *Accounts) Passkeys(ctx context.Context, user string) (all []accounts.Passkey, err error) {
	err = a.read(ctx, func(tx *Tx) error {
		return tx.Each("SELECT id, account, name, data, created, used FROM account_passkey WHERE account = ? ORDER BY created, id", []any{user}, func(scan func(...any) error) error {
			var p accounts.Passkey
			var created, used int64
			err := scan(&p.ID, &p.User, &p.Name, &p.Data, &created, &used)
			p.Created, p.Used = Time(created), Time(used)
			all = append(all, p)
			return err
		})
	})
	return all, err
}

// RemovePasskey implements accounts.Store.
func (a *Accounts) RemovePasskey(ctx context.Context, user string, id []byte) (bool, error) {
	return a.exec(ctx, "DELETE FROM account_passkey WHERE account = ? AND id = ?", user, id)
}
