package accounts

import (
	"context"
	"crypto/subtle"
	"sync"

	"gatepost/internal/access"
)

// setup is the code by which the first owner comes in, of this process.
type setup struct {
	mu   sync.Mutex
	code Digest
	made bool
}

// SetupCode makes the code for the first owner while there is no user; "" where there is one. Whoever starts the daemon prints
// it where only an admin of the machine reads. A later call makes another, and the former is worth nothing.
func (a *Accounts) SetupCode(ctx context.Context) (string, error) {
	a.setup.mu.Lock()
	defer a.setup.mu.Unlock()
	a.setup.made = false
	needed, err := a.NeedsSetup(ctx)
	if err != nil || !needed {
		return "", err
	}
	code := newCode()
	plain, _ := plainCode(code)
	a.setup.code, a.setup.made = digestOf("setup", plain), true
	return code, nil
}

// NeedsSetup reports whether there is no user yet.
func (a *Accounts) NeedsSetup(ctx context.Context) (bool, error) {
	all, err := a.store.Users(ctx)
	return len(all) == 0, err
}

// checkSetup refuses a setup code that is not the one. It does not use it up.
func (a *Accounts) checkSetup(ctx context.Context, code string, from Client) error {
	now := clock()
	if wait := a.throttle.take("", from.Address, false, now); wait > 0 {
		return waiting(wait)
	}
	needed, err := a.NeedsSetup(ctx)
	if err != nil {
		return err
	}
	plain, _ := plainCode(code)
	got := digestOf("setup", plain)
	a.setup.mu.Lock()
	ok := a.setup.made && needed && subtle.ConstantTimeCompare(got[:], a.setup.code[:]) == 1
	a.setup.mu.Unlock()
	if !ok {
		a.notice(ctx, Event{What: "login failed", Address: from.Address, Error: "setup code"})
		return wrongCode(a.throttle.next("", from.Address, now))
	}
	a.throttle.forgive("", from.Address, false, now)
	return nil
}

// FirstOwner makes the first user, an owner of everything, by the setup code, and logs him in. Of two who try at once, on this
// node or another, one is too late.
func (a *Accounts) FirstOwner(ctx context.Context, code string, p Profile, password string, from Client) (Step, error) {
	if err := a.checkSetup(ctx, code, from); err != nil {
		return Step{}, err
	}
	p.Role, p.Domains = access.Owner, nil
	u, err := p.user(User{ID: newID() + newID(), Created: clock()})
	if err != nil {
		return Step{}, err
	}
	phc, err := a.newPassword(ctx, u, password)
	if err != nil {
		return Step{}, err
	}
	first, err := a.store.PutFirst(ctx, u, phc)
	if err != nil {
		return Step{}, err
	}
	a.setup.mu.Lock()
	a.setup.made = false
	a.setup.mu.Unlock()
	if !first {
		return Step{}, wrongCode(0)
	}
	u.Password = true
	a.notice(ctx, Event{What: "first owner", User: u.Name, Address: from.Address})
	return a.enter(ctx, u, from, "setup code", -1)
}
