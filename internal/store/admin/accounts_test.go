package admin

import (
	"context"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"gatepost/internal/access"
	"gatepost/internal/accounts"
	"gatepost/internal/accounts/storetest"
)

// TestAccounts holds both stores against what every store of accounts must do.
func TestAccounts(t *testing.T) {
	t.Run("sqlite", func(t *testing.T) {
		storetest.Run(t, func(t *testing.T) accounts.Store {
			return open(t, Options{Path: filepath.Join(t.TempDir(), "admin.db")}).Accounts()
		})
	})
	t.Run("postgres", func(t *testing.T) {
		storetest.Run(t, func(t *testing.T) accounts.Store { return open(t, Options{URL: database(t)}).Accounts() })
	})
}

// TestAccountsKept shows that no secret stands in the tables as whoever has it would send it, that all of it is there for another
// node, and that a list which somebody emptied or broke by hand gives nobody more than before.
func TestAccountsKept(t *testing.T) {
	onBoth(t, func(t *testing.T, db *DB, again func() *DB) {
		ctx := context.Background()
		root := access.Actor{Role: access.Owner, Via: access.BySocket}
		here := accounts.Client{Agent: "a browser"}
		options := accounts.Options{Store: db.Accounts(), Key: make([]byte, accounts.KeySize), Params: accounts.Params{Memory: 64, Time: 1, Threads: 1}}
		a, err := accounts.New(options)
		must(t, err)
		setup, err := a.SetupCode(ctx)
		must(t, err)
		_, err = a.FirstOwner(ctx, setup, accounts.Profile{Name: "anna"}, "three green kettles", here)
		must(t, err)
		_, code, err := a.Add(ctx, root, accounts.Profile{Name: "bert", Role: access.HelpDesk, Domains: []string{"example.org"}})
		must(t, err)
		step, err := a.Redeem(ctx, code, "four green kettles", here)
		must(t, err)
		text, _, err := a.AddToken(ctx, root, "bert", accounts.NewToken{Name: "x", Domains: []string{"example.org"}, Expires: time.Now().Add(time.Hour)})
		must(t, err)
		options.Store = again().Accounts()
		b, err := accounts.New(options)
		must(t, err)
		who, _, err := b.FromSession(ctx, step.Token, here.Address)
		must(t, err)
		if who.Name != "bert" || who.Everywhere() {
			t.Errorf("%+v", who)
		}
		for _, secret := range []string{setup, code, step.Token, text, "kettles"} {
			if where := holding(t, db, secret); where != "" {
				t.Errorf("a secret stands in %s", where)
			}
		}
		if holding(t, db, "example.org") == "" {
			t.Error("nothing is found by this")
		}
		for _, broken := range []string{"[]", "null", "{}", "[1]", `["example.org"`} {
			must(t, db.Write(ctx, func(tx *Tx) error { _, err := tx.Exec("UPDATE account_token SET domains = ?", broken); return err }))
			if who, err := b.FromToken(ctx, "Bearer "+text, here.Address); err == nil {
				t.Errorf("%s: %+v", broken, who)
			}
			must(t, db.Write(ctx, func(tx *Tx) error {
				_, err := tx.Exec("UPDATE account SET domains = ? WHERE name = 'bert'", broken)
				return err
			}))
			if who, _, err := b.FromSession(ctx, step.Token, here.Address); err == nil {
				t.Errorf("%s: %+v", broken, who)
			}
		}
	})
}

// holding finds a text in the tables of accounts.
func holding(t *testing.T, db *DB, text string) (where string) {
	t.Helper()
	for _, table := range []string{"account", "account_session", "account_token", "account_code", "account_recovery"} {
		rows, err := db.sql.Query("SELECT * FROM " + table)
		must(t, err)
		columns, err := rows.Columns()
		must(t, err)
		for rows.Next() {
			values := make([]any, len(columns))
			into := make([]any, len(columns))
			for i := range values {
				into[i] = &values[i]
			}
			must(t, rows.Scan(into...))
			for i, v := range values {
				b, _ := v.([]byte)
				s, _ := v.(string)
				if strings.Contains(s, text) || strings.Contains(string(b), text) {
					where = table + "." + columns[i]
				}
			}
		}
		must(t, rows.Err())
		must(t, rows.Close())
	}
	return where
}
