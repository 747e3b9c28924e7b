package accounts

import (
	"context"
	"crypto/sha256"
	"fmt"
	"strings"
	"time"

	"gatepost/internal/access"
)

// Digest is the SHA-256 of a secret that has 80 bits of chance or more, so that nobody finds it by trying.
type Digest [sha256.Size]byte

// User is an account, without what proves it.
type User struct {
	ID        string // random, and never used again
	Name      string // to log in; see Name
	Display   string
	Mail      string // "" for none
	Role      access.Role
	Domains   []string // lower-case A-labels; none: all
	Disabled  bool
	Source    string // where he comes from: Local, FromDir or FromIss
	Subject   string // who he is at the source; "" of Local
	Lapsed    bool   // the source gave him nothing when he was last there: he is let in no more until it does
	Epoch     int64  // grows when password, second factor, role, domains, Disabled or Lapsed change: older sessions are over
	Created   time.Time
	Login     time.Time // the last; zero for none
	LoginFrom string    // its address
	Password  bool      // he has one; ChangeUsers does not write it
	TOTP      bool      // he has one; ChangeUsers does not write it
	Passkeys  int       // how many; ChangeUsers does not write it
}

// Second reports whether a second factor is asked of him.
func (u *User) Second() bool { return u.TOTP || u.Passkeys > 0 }

// out reports whether he is let in no more.
func (u *User) out() bool { return u.Disabled || u.Lapsed }

// grants words what he may.
func (u *User) grants() string {
	switch {
	case u.Lapsed:
		return "nothing any more"
	case len(u.Domains) == 0:
		return string(u.Role)
	}
	return string(u.Role) + " of " + strings.Join(u.Domains, ", ")
}

// written is all that ChangeUsers writes of him.
func (u *User) written() string {
	return fmt.Sprintf("%q %q %q %q %q %q %v %q %q %v %d", u.ID, u.Name, u.Display, u.Mail, u.Role, u.Domains, u.Disabled, u.Source, u.Subject, u.Lapsed, u.Epoch)
}

// Secrets are what proves a user.
type Secrets struct {
	Password string // a PHC string; "" for none
	TOTP     []byte // sealed; nil for none
	Step     int64  // of the last code that was taken: no code of this step or before is
	Recovery int    // codes that are left
}

// Session is one login; Pending, one that waits for its second factor and is none yet.
type Session struct {
	Digest  Digest // of the token, which the browser alone has
	ID      string // to name it; says nothing of the token
	User    string // ID
	Epoch   int64  // of the user when it began
	Created time.Time
	Seen    time.Time
	Proved  time.Time // when password or code was last given
	Address string    // where it began
	Agent   string    // what the browser said it is, cut
	Source  string    // that of the user
	How     string    // "password", "password and code", "password and recovery code", "passkey", ...
	Pending bool
	Data    []byte // what a pending one needs to go on; at most 4 KiB
}

// Token is one of a program.
type Token struct {
	Digest   Digest
	ID       string
	User     string // ID
	Name     string // what it is for
	Rights   []access.Right
	Domains  []string
	Created  time.Time
	Expires  time.Time
	Used     time.Time // zero for never; to the minute
	UsedFrom string
}

// Passkey is a credential of WebAuthn.
type Passkey struct {
	ID      []byte // that its authenticator gave it
	User    string // ID
	Name    string
	Data    []byte // public key, counter and more, as JSON
	Created time.Time
	Used    time.Time
}

// Store keeps accounts. Each method is one transaction that is on disk when it returns; times are kept to the millisecond. What
// belongs to a user goes with him. It is used by several nodes at once. ErrNone is returned where there is none.
type Store interface {
	// Users returns all, by name.
	Users(ctx context.Context) ([]User, error)
	User(ctx context.Context, name string) (User, error)
	UserByID(ctx context.Context, id string) (User, error)
	// ChangeUsers calls change with all users, by name, while nobody else changes one, and puts (by ID) and removes (IDs) what it
	// returns; with its error nothing. change asks the store nothing, and may be called again.
	ChangeUsers(ctx context.Context, change func(all []User) (put []User, remove []string, err error)) error
	// PutFirst puts a user with his password if there is no user yet, and reports whether it did: of two at once one.
	PutFirst(ctx context.Context, u User, phc string) (bool, error)
	// LoggedIn notes a login.
	LoggedIn(ctx context.Context, id string, at time.Time, from string) error

	Secrets(ctx context.Context, id string) (Secrets, error)
	// SetPassword sets or, with "", takes away the password; the user's epoch grows, and is returned.
	SetPassword(ctx context.Context, id, phc string) (int64, error)
	// Rehash replaces a password's string by another of the same password, where it still is the old one.
	Rehash(ctx context.Context, id, old, phc string) error
	// SetTOTP sets or, with nil, takes away the secret, the step of the code that was last used, and the recovery codes; the epoch grows.
	SetTOTP(ctx context.Context, id string, sealed []byte, step int64, recovery []Digest) (int64, error)
	SetRecovery(ctx context.Context, id string, codes []Digest) error
	// UseStep reports whether the step is later than all that were used, and notes it: of two that ask at once one hears yes.
	UseStep(ctx context.Context, id string, step int64) (bool, error)
	// UseRecovery reports whether the code is there, and removes it.
	UseRecovery(ctx context.Context, id string, code Digest) (bool, error)

	// PutPasskey adds one, or writes Name, Data and Used of the user's own that is there.
	PutPasskey(ctx context.Context, p Passkey) error
	Passkeys(ctx context.Context, user string) ([]Passkey, error)
	RemovePasskey(ctx context.Context, user string, id []byte) (bool, error)

	// PutSSHKey adds one; ErrNone where there is no such user, or where he has the key.
	PutSSHKey(ctx context.Context, k SSHKey) error
	// SSHKey returns a key by its fingerprint and the name of its user, with him.
	SSHKey(ctx context.Context, name, fingerprint string) (SSHKey, User, error)
	// SSHKeys returns those of a user, of all with "", the newest first.
	SSHKeys(ctx context.Context, user string) ([]SSHKey, error)
	TouchSSHKey(ctx context.Context, id string, at time.Time, from string) error
	RemoveSSHKey(ctx context.Context, id string) (bool, error)

	PutSession(ctx context.Context, s Session) error
	// Session returns a session with its user.
	Session(ctx context.Context, token Digest) (Session, User, error)
	// ReplaceSession puts a session in place of another, if that is still there.
	ReplaceSession(ctx context.Context, old Digest, s Session) (bool, error)
	TouchSession(ctx context.Context, token Digest, seen time.Time) error
	// Sessions returns those of a user, of all with "", the newest first, without pending ones.
	Sessions(ctx context.Context, user string) ([]Session, error)
	// EndSession ends one of a user by its ID, pending or not.
	EndSession(ctx context.Context, user, id string) (bool, error)
	// EndSessions ends those of a user, pending ones too, but for one ID ("": none).
	EndSessions(ctx context.Context, user, except string) (int, error)

	PutToken(ctx context.Context, t Token) error
	Token(ctx context.Context, token Digest) (Token, User, error)
	// Tokens returns those of a user, of all with "", the newest first.
	Tokens(ctx context.Context, user string) ([]Token, error)
	TouchToken(ctx context.Context, token Digest, at time.Time, from string) error
	RemoveToken(ctx context.Context, id string) (bool, error)

	// PutCode keeps the one code by which a user sets a password, in place of any earlier.
	PutCode(ctx context.Context, user string, code Digest, expires time.Time) error
	// Code returns whose a code is, if it is not over.
	Code(ctx context.Context, code Digest, now time.Time) (string, error)
	// TakeCode removes a code; of two that ask at once one hears yes.
	TakeCode(ctx context.Context, code Digest) (bool, error)

	// Sweep removes sessions last seen before idle or made before old, pending ones made before pending, and codes and tokens that are over.
	Sweep(ctx context.Context, now, idle, old, pending time.Time) error
}
