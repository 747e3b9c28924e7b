package api

import (
	"time"

	"gatepost/internal/access"
)

// User is an account, as an admin sees it.
type User struct {
	Name      string      `json:"name"`
	Display   string      `json:"display,omitempty"`
	Mail      string      `json:"mail,omitempty"`
	Role      access.Role `json:"role"`
	Domains   []string    `json:"domains,omitempty"` // none: all
	Disabled  bool        `json:"disabled,omitempty"`
	Source    string      `json:"source,omitempty"` // ldap or oidc: a directory or an issuer knows him; none: an account of the gateway
	Lapsed    bool        `json:"lapsed,omitempty"` // no group of his may log in any more
	Password  bool        `json:"password"`         // he has set one
	TOTP      bool        `json:"totp"`
	Passkeys  int         `json:"passkeys"`
	Recovery  int         `json:"recovery_codes"` // that are left
	Created   time.Time   `json:"created"`
	Login     time.Time   `json:"login,omitzero"` // the last
	LoginFrom string      `json:"login_from,omitempty"`
	Version   string      `json:"version"`
}

// ETag is what a change names by If-Match.
func (u *User) ETag() string { return u.Version }

// Users is a page of a list.
type Users struct {
	Users []User `json:"users"`
	Next  string `json:"next,omitempty"` // the cursor of the next page; "" after the last
}

// Invited is a user with the code by which he sets a password.
type Invited struct {
	User  User      `json:"user"`
	Code  string    `json:"code"` // it is shown once; "" of a user whose password is not kept here
	Until time.Time `json:"until,omitzero"`
}

// SetupCode is the code by which the first owner comes in.
type SetupCode struct {
	Code string `json:"code"` // "" where there is a user already
}

// Token is one of a program, without its secret.
type Token struct {
	ID       string         `json:"id"`
	User     string         `json:"user"`
	Name     string         `json:"name"`
	Rights   []access.Right `json:"rights,omitempty"`  // none: those of the user
	Domains  []string       `json:"domains,omitempty"` // none: those of the user
	Created  time.Time      `json:"created"`
	Expires  time.Time      `json:"expires"`
	Used     time.Time      `json:"used,omitzero"`
	UsedFrom string         `json:"used_from,omitempty"`
}

// Tokens is a page of a list.
type Tokens struct {
	Tokens []Token `json:"tokens"`
	Next   string  `json:"next,omitempty"`
}

// NewToken is a token with its secret.
type NewToken struct {
	Token  Token  `json:"token"`
	Secret string `json:"secret"` // as programs send it; it is shown once
}

// SSHKey is a public key by which a user comes in by SSH.
type SSHKey struct {
	ID          string    `json:"id"`
	User        string    `json:"user"`
	Name        string    `json:"name"`
	Kind        string    `json:"kind"`        // such as ssh-ed25519
	Fingerprint string    `json:"fingerprint"` // SHA256:..., as ssh-keygen -l shows it
	Created     time.Time `json:"created"`
	Used        time.Time `json:"used,omitzero"`
	UsedFrom    string    `json:"used_from,omitempty"`
}

// SSHKeys is a page of a list.
type SSHKeys struct {
	Keys []SSHKey `json:"keys"`
	Next string   `json:"next,omitempty"`
	Host string   `json:"host,omitempty"` // the fingerprint by which clients know this gateway; "" where nobody comes in by SSH
}

// Session is a login.
type Session struct {
	ID      string    `json:"id"`
	User    string    `json:"user"`
	Created time.Time `json:"created"`
	Seen    time.Time `json:"seen"` // to the minute
	Address string    `json:"address,omitempty"`
	Agent   string    `json:"agent,omitempty"` // what the browser says it is
	How     string    `json:"how"`
	Source  string    `json:"source,omitempty"` // that of the user
	Mine    bool      `json:"mine,omitempty"`   // of whoever asks
}

// Sessions is a page of a list.
type Sessions struct {
	Sessions []Session `json:"sessions"`
	Next     string    `json:"next,omitempty"`
}

// Ended is how many sessions were ended.
type Ended struct {
	Ended int `json:"ended"`
}

// Role is a role and what it may.
type Role struct {
	Role   access.Role    `json:"role"`
	Rights []access.Right `json:"rights"`
}

// Roles are all of them.
type Roles struct {
	Roles []Role `json:"roles"`
}
