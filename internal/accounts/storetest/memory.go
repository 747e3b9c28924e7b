package storetest

import (
	"bytes"
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"time"

	"gatepost/internal/accounts"
)

// Memory is a Store that forgets all when the process ends. The zero value is ready.
type Memory struct {
	mu       sync.Mutex
	users    []accounts.User // by name
	secrets  map[string]*secret
	sessions map[accounts.Digest]accounts.Session
	tokens   map[accounts.Digest]accounts.Token
	passkeys []accounts.Passkey
	keys     []accounts.SSHKey
	codes    map[string]code // of each user
}

type secret struct {
	password string
	totp     []byte
	step     int64
	recovery map[accounts.Digest]bool
}

type code struct {
	digest  accounts.Digest
	expires time.Time
}

func (m *Memory) lock() func() {
	m.mu.Lock()
	if m.secrets == nil {
		m.secrets, m.sessions, m.tokens, m.codes = map[string]*secret{}, map[accounts.Digest]accounts.Session{}, map[accounts.Digest]accounts.Token{}, map[string]code{}
	}
	return m.mu.Unlock
}

// full is a user with what ChangeUsers does not write.
func (m *Memory) full(u accounts.User) accounts.User {
	s := m.secrets[u.ID]
	u.Domains = slices.Clone(u.Domains)
	u.Password, u.TOTP, u.Passkeys = s.password != "", s.totp != nil, 0
	for _, p := range m.passkeys {
		if p.User == u.ID {
			u.Passkeys++
		}
	}
	return u
}

func (m *Memory) find(is func(accounts.User) bool) (accounts.User, error) {
	i := slices.IndexFunc(m.users, is)
	if i < 0 {
		return accounts.User{}, accounts.ErrNone
	}
	return m.full(m.users[i]), nil
}

// Users implements accounts.Store.
func (m *Memory) Users(context.Context) ([]accounts.User, error) {
	defer m.lock()()
	return m.all(), nil
}

func (m *Memory) all() (out []accounts.User) {
	for _, u := range m.users {
		out = append(out, m.full(u))
	}
	return out
}

// User implements accounts.Store.
func (m *Memory) User(_ context.Context, name string) (accounts.User, error) {
	defer m.lock()()
	return m.find(func(u accounts.User) bool { return u.Name == name })
}

// UserByID implements accounts.Store.
func (m *Memory) UserByID(_ context.Context, id string) (accounts.User, error) {
	defer m.lock()()
	return m.find(func(u accounts.User) bool { return u.ID == id })
}

// ChangeUsers implements accounts.Store.
func (m *Memory) ChangeUsers(_ context.Context, change func([]accounts.User) ([]accounts.User, []string, error)) error {
	defer m.lock()()
	put, remove, err := change(m.all())
	if err != nil {
		return err
	}
	for _, u := range put {
		if slices.ContainsFunc(m.users, func(o accounts.User) bool { return o.Name == u.Name && o.ID != u.ID }) {
			return errors.New("memory: two users of one name")
		}
		if i := slices.IndexFunc(m.users, func(o accounts.User) bool { return o.ID == u.ID }); i >= 0 {
			u.Created, u.Login, u.LoginFrom = m.users[i].Created, m.users[i].Login, m.users[i].LoginFrom
			m.users[i] = u
		} else {
			m.users = append(m.users, u)
			m.secrets[u.ID] = &secret{}
		}
	}
	for _, id := range remove {
		m.users = slices.DeleteFunc(m.users, func(u accounts.User) bool { return u.ID == id })
		delete(m.secrets, id)
		delete(m.codes, id)
		m.passkeys = slices.DeleteFunc(m.passkeys, func(p accounts.Passkey) bool { return p.User == id })
		m.keys = slices.DeleteFunc(m.keys, func(k accounts.SSHKey) bool { return k.User == id })
		m.endAll(id, "")
		for d, t := range m.tokens {
			if t.User == id {
				delete(m.tokens, d)
			}
		}
	}
	slices.SortFunc(m.users, func(a, b accounts.User) int { return strings.Compare(a.Name, b.Name) })
	return nil
}

// PutFirst implements accounts.Store.
func (m *Memory) PutFirst(_ context.Context, u accounts.User, phc string) (bool, error) {
	defer m.lock()()
	if len(m.users) > 0 {
		return false, nil
	}
	m.users, m.secrets[u.ID] = []accounts.User{u}, &secret{password: phc}
	return true, nil
}

// grow makes a user's epoch grow.
func (m *Memory) grow(id string) (int64, error) {
	for i := range m.users {
		if m.users[i].ID == id {
			m.users[i].Epoch++
			return m.users[i].Epoch, nil
		}
	}
	return 0, accounts.ErrNone
}

// LoggedIn implements accounts.Store.
func (m *Memory) LoggedIn(_ context.Context, id string, at time.Time, from string) error {
	defer m.lock()()
	for i := range m.users {
		if m.users[i].ID == id {
			m.users[i].Login, m.users[i].LoginFrom = at, from
			return nil
		}
	}
	return accounts.ErrNone
}

// Secrets implements accounts.Store.
func (m *Memory) Secrets(_ context.Context, id string) (accounts.Secrets, error) {
	defer m.lock()()
	s := m.secrets[id]
	if s == nil {
		return accounts.Secrets{}, accounts.ErrNone
	}
	return accounts.Secrets{Password: s.password, TOTP: bytes.Clone(s.totp), Step: s.step, Recovery: len(s.recovery)}, nil
}

// SetPassword implements accounts.Store.
func (m *Memory) SetPassword(_ context.Context, id, phc string) (int64, error) {
	defer m.lock()()
	if s := m.secrets[id]; s != nil {
		s.password = phc
	}
	return m.grow(id)
}

// Rehash implements accounts.Store.
func (m *Memory) Rehash(_ context.Context, id, old, phc string) error {
	defer m.lock()()
	if s := m.secrets[id]; s != nil && s.password == old {
		s.password = phc
	}
	return nil
}

// SetTOTP implements accounts.Store.
func (m *Memory) SetTOTP(_ context.Context, id string, sealed []byte, step int64, recovery []accounts.Digest) (int64, error) {
	defer m.lock()()
	if s := m.secrets[id]; s != nil {
		s.totp, s.step, s.recovery = bytes.Clone(sealed), step, setOf(recovery)
	}
	return m.grow(id)
}

func setOf(codes []accounts.Digest) map[accounts.Digest]bool {
	out := map[accounts.Digest]bool{}
	for _, c := range codes {
		out[c] = true
	}
	return out
}

// SetRecovery implements accounts.Store.
func (m *Memory) SetRecovery(_ context.Context, id string, codes []accounts.Digest) error {
	defer m.lock()()
	s := m.secrets[id]
	if s == nil {
		return accounts.ErrNone
	}
	s.recovery = setOf(codes)
	return nil
}

// UseStep implements accounts.Store.
func (m *Memory) UseStep(_ context.Context, id string, step int64) (bool, error) {
	defer m.lock()()
	s := m.secrets[id]
	if s == nil || s.totp == nil || s.step >= step {
		return false, nil
	}
	s.step = step
	return true, nil
}

// UseRecovery implements accounts.Store.
func (m *Memory) UseRecovery(_ context.Context, id string, c accounts.Digest) (bool, error) {
	defer m.lock()()
	s := m.secrets[id]
	if s == nil || !s.recovery[c] {
		return false, nil
	}
	delete(s.recovery, c)
	return true, nil
}

// PutPasskey implements accounts.Store.
func (m *Memory) PutPasskey(_ context.Context, p accounts.Passkey) error {
	defer m.lock()()
	if m.secrets[p.User] == nil {
		return accounts.ErrNone
	}
	i := slices.IndexFunc(m.passkeys, func(o accounts.Passkey) bool { return bytes.Equal(o.ID, p.ID) })
	switch {
	case i < 0:
		m.passkeys = append(m.passkeys, p)
	case m.passkeys[i].User != p.User:
		return accounts.ErrNone
	default:
		m.passkeys[i].Name, m.passkeys[i].Data, m.passkeys[i].Used = p.Name, p.Data, p.Used
	}
	return nil
}

// Passkeys implements accounts.Store.
func (m *Memory) Passkeys(_ context.Context, user string) (out []accounts.Passkey, err error) {
	defer m.lock()()
	for _, p := range m.passkeys {
		if p.User == user {
			out = append(out, p)
		}
	}
	return out, nil
}

// RemovePasskey implements accounts.Store.
func (m *Memory) RemovePasskey(_ context.Context, user string, id []byte) (bool, error) {
	defer m.lock()()
	n := len(m.passkeys)
	m.passkeys = slices.DeleteFunc(m.passkeys, func(p accounts.Passkey) bool { return p.User == user && bytes.Equal(p.ID, id) })
	return len(m.passkeys) < n, nil
}
