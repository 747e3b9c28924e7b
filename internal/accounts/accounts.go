package accounts

import (
	"context"
	"errors"
	"net/netip"
	"strings"
	"time"

	"gatepost/internal/access"
)

// How long things hold.
const (
	IdleTime      = 30 * time.Minute // of a session that nobody uses
	LongestTime   = 12 * time.Hour   // of any session
	ProofTime     = 10 * time.Minute // that a password or code counts for what asks it again
	PendingTime   = 5 * time.Minute  // between password and second factor
	CodeTime      = 72 * time.Hour   // of a code by which a user sets his password
	touchEvery    = time.Minute      // a use is noted at most so often
	mostSessions  = 16               // of a user; then the oldest ends
	mostTokens    = 50               // of a user
	mostUsers     = 1000
	longestName   = 64
	longestTokens = 366 * 24 * time.Hour // that a token lives at most: a year
)

// Options are what Accounts needs.
type Options struct {
	Store Store
	// Key seals the secrets of TOTP; KeySize octets that are not in the store.
	Key []byte
	// Issuer names the installation in authenticator apps.
	Issuer string
	// Site is where browsers reach the console; nil: there are no passkeys.
	Site func() Site
	// Params of passwords; the zero value: DefaultParams.
	Params Params
	// Outside proves people who have no password here.
	Outside Outside
	// Notice is told of logins and of failures, for the audit log. It waits for nothing.
	Notice func(context.Context, Event)
}

// Event is something about logins that is worth keeping.
type Event struct {
	What    string // "login", "login failed", "logout", "first owner", "code used", "confirmed", "passkey added", "passkey removed", or what became of an account by its groups
	User    string // name; "" of a name that nobody has, which may be a password in the wrong field
	Address netip.Addr
	How     string // of a login
	Error   string
}

// Client is where somebody is.
type Client struct {
	Address netip.Addr
	Agent   string // what the browser says it is
}

// Accounts is safe for concurrent use.
type Accounts struct {
	store    Store
	hasher   *hasher
	sealer   *sealer
	throttle *throttle
	setup    setup
	issuer   string
	site     func() Site
	outside  Outside
	notice   func(context.Context, Event)
}

// New makes Accounts over a store.
func New(o Options) (*Accounts, error) {
	s, err := newSealer(o.Key)
	if err != nil {
		return nil, err
	}
	if o.Params == (Params{}) {
		o.Params = DefaultParams()
	}
	if o.Issuer == "" {
		o.Issuer = "Gatepost"
	}
	if o.Notice == nil {
		o.Notice = func(context.Context, Event) {}
	}
	return &Accounts{store: o.Store, hasher: newHasher(o.Params), sealer: s, throttle: newThrottle(), issuer: o.Issuer, site: o.Site, outside: o.Outside, notice: o.Notice}, nil
}

// Sweep removes what is over. It is called now and then.
func (a *Accounts) Sweep(ctx context.Context) error {
	now := clock()
	return a.store.Sweep(ctx, now, now.Add(-IdleTime), now.Add(-LongestTime), now.Add(-PendingTime))
}

// clock is the time as stores keep it.
func clock() time.Time { return time.Now().UTC().Truncate(time.Millisecond) }

// Name is a name as it is kept: in small letters, without what stands around it. It is "" of what can be nobody's, so that no
// store is asked for octets that it cannot have.
func Name(text string) string {
	if len(text) > 256 {
		return ""
	}
	name := strings.ToLower(strings.TrimSpace(text))
	if len(name) == 0 || len(name) > longestName || strings.ContainsAny(name[:1], "._@+-") || strings.Trim(name, "abcdefghijklmnopqrstuvwxyz0123456789._@+-") != "" {
		return ""
	}
	return name
}

// named finds the user behind an actor who came by a session or a token.
func (a *Accounts) named(ctx context.Context, who access.Actor) (User, error) {
	u, err := a.store.User(ctx, who.Name)
	if errors.Is(err, ErrNone) || err == nil && u.out() {
		return u, &Refusal{Kind: Missing, Message: "there is no such user"}
	}
	return u, err
}

// inSession finds the user and the session of an actor. What proves somebody is changed in a session only, never by a token,
// which a program has, and which would outlive the change.
func (a *Accounts) inSession(ctx context.Context, who access.Actor) (u User, s Session, err error) {
	if who.Via != access.BySession || who.Session == "" {
		return u, s, &Refusal{Kind: Forbidden, Message: "this is done in a session of the console only"}
	}
	if u, err = a.named(ctx, who); err != nil {
		return u, s, err
	}
	all, err := a.store.Sessions(ctx, u.ID)
	if err != nil {
		return u, s, err
	}
	for _, s = range all {
		if s.ID == who.Session && s.Epoch == u.Epoch && a.live(s, clock()) {
			return u, s, nil
		}
	}
	return u, s, ended()
}
