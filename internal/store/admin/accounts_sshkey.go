package admin

import (
	"context"
	"time"

	"gatepost/internal/accounts"
)

// sshKeyColumns are those of an accounts.SSHKey, of the table under the name k.
const sshKeyColumns = "k.id, k.account, k.name, k.kind, k.fingerprint, k.data, k.created, k.used, k.used_from"

// sshKeyRow is what sshKeyColumns are read into.
type sshKeyRow struct {
	k             accounts.SSHKey
	created, used int64
}

func (r *sshKeyRow) into() []any {
	return []any{&r.k.ID, &r.k.User, &r.k.Name, &r.k.Kind, &r.k.Fingerprint, &r.k.Data, &r.created, &r.used, &r.k.UsedFrom}
}

func (r *sshKeyRow) key() accounts.SSHKey {
	r.k.Created, r.k.Used = Time(r.created), Time(r.used)
	return r.k
}

// PutSSHKey implements accounts.Store.
func (a *Accounts) PutSSHKey(ctx context.Context, k accounts.SSHKey) error {
	there, err := a.exec(ctx, `INSERT INTO account_sshkey (id, account, name, kind, fingerprint, data, created, used, used_from)
		SELECT ?, a.id, ?, ?, ?, ?, ?, ?, ? FROM account a WHERE a.id = ? ON CONFLICT (account, fingerprint) DO NOTHING`,
		k.ID, k.Name, k.Kind, k.Fingerprint, k.Data, Micros(k.Created), Micros(k.Used), k.UsedFrom, k.User)
	if err == nil && !there {
		err = accounts.ErrNone
	}
	return err
}

// SSHKey implements accounts.Store.
func (a *Accounts) SSHKey(ctx context.Context, name, fingerprint string) (k accounts.SSHKey, u accounts.User, err error) {
	err = a.read(ctx, func(tx *Tx) error {
		var r sshKeyRow
		var of userRow
		err := tx.One("SELECT "+sshKeyColumns+", "+userColumns+" FROM account_sshkey k JOIN account a ON a.id = k.account WHERE a.name = ? AND k.fingerprint = ?",
			[]any{name, fingerprint}, append(r.into(), of.into()...)...)
		if err == nil {
			k = r.key()
			u, err = of.user()
		}
		return err
	})
	return k, u, err
}

// SSHKeys implements accounts.Store.
func (a *Accounts) SSHKeys(ctx context.Context, user string) (all []accounts.SSHKey, err error) {
	where, args := "", []any(nil)
	if user != "" {
		where, args = " WHERE k.account = ?", []any{user}
	}
	err = a.read(ctx, func(tx *Tx) error {
		return tx.Each("SELECT "+sshKeyColumns+" FROM account_sshkey k"+where+" ORDER BY k.created DESC, k.id", args, func(scan func(...any) error) error {
			var r sshKeyRow
			err := scan(r.into()...)
			all = append(all, r.key())
			return err
		})
	})
	return all, err
}

// TouchSSHKey implements accounts.Store.
func (a *Accounts) TouchSSHKey(ctx context.Context, id string, at time.Time, from string) error {
	_, err := a.exec(ctx, "UPDATE account_sshkey SET used = ?, used_from = ? WHERE id = ?", Micros(at), from, id)
	return err
}

// RemoveSSHKey implements accounts.Store.
func (a *Accounts) RemoveSSHKey(ctx context.Context, id string) (bool, error) {
	return a.exec(ctx, "DELETE FROM account_sshkey WHERE id = ?", id)
}
