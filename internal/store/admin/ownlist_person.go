package admin

import (
	"context"

	"gatepost/internal/ownlist"
)

// Naming lists the entries of others that name a sender, in lower case, by his address.
func (o OwnLists) Naming(ctx context.Context, sender string) (all []ownlist.Entry, err error) {
	err = o.db.Read(ctx, func(tx *Tx) error {
		all, err = ownEntries(tx, "WHERE sender = ? AND rcpt <> ? ", sender, sender)
		return err
	})
	return all, err
}

// Forget removes all entries of a recipient, in lower case, and returns how many.
func (o OwnLists) Forget(ctx context.Context, rcpt string) (n int64, err error) {
	err = o.change(ctx, rcpt, func(tx *Tx) (int64, error) {
		n, err = tx.Exec("DELETE FROM own_list WHERE rcpt = ?", rcpt)
		return n, err
	})
	return n, err
}
