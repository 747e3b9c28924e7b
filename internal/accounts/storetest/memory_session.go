package storetest

import (
	"cmp"
	"context"
	"slices"
	"time"

	"gatepost/internal/accounts"
)

// PutSession implements accounts.Store.
func (m *Memory) PutSession(_ context.Context, s accounts.Session) error {
	defer m.lock()()
	if m.secrets[s.User] == nil {
		return accounts.ErrNone
	}
	m.sessions[s.Digest] = s
	return nil
}

// Session implements accounts.Store.
func (m *Memory) Session(_ context.Context, token accounts.Digest) (accounts.Session, accounts.User, error) {
	defer m.lock()()
	s, ok := m.sessions[token]
	if !ok {
		return s, accounts.User{}, accounts.ErrNone
	}
	u, err := m.find(func(u accounts.User) bool { return u.ID == s.User })
	return s, u, err
}

// ReplaceSession implements accounts.Store.
func (m *Memory) ReplaceSession(_ context.Context, old accounts.Digest, s accounts.Session) (bool, error) {
	defer m.lock()()
	if _, ok := m.sessions[old]; !ok {
		return false, nil
	}
	delete(m.sessions, old)
	m.sessions[s.Digest] = s
	return true, nil
}

// TouchSession implements accounts.Store.
func (m *Memory) TouchSession(_ context.Context, token accounts.Digest, seen time.Time) error {
	defer m.lock()()
	if s, ok := m.sessions[token]; ok {
		s.Seen = seen
		m.sessions[token] = s
	}
	return nil
}

// Sessions implements accounts.Store.
func (m *Memory) Sessions(_ context.Context, user string) (out []accounts.Session, err error) {
	defer m.lock()()
	for _, s := range m.sessions {
		if (user == "" || s.User == user) && !s.Pending {
			out = append(out, s)
		}
	}
	slices.SortFunc(out, func(a, b accounts.Session) int {
		return cmp.Or(b.Created.Compare(a.Created), cmp.Compare(a.ID, b.ID))
	})
	return out, nil
}

// EndSession implements accounts.Store.
func (m *Memory) EndSession(_ context.Context, user, id string) (bool, error) {
	defer m.lock()()
	for d, s := range m.sessions {
		if s.User == user && s.ID == id {
			delete(m.sessions, d)
			return true, nil
		}
	}
	return false, nil
}

// EndSessions implements accounts.Store.
func (m *Memory) EndSessions(_ context.Context, user, except string) (int, error) {
	defer m.lock()()
	return m.endAll(user, except), nil
}

func (m *Memory) endAll(user, except string) (n int) {
	for d, s := range m.sessions {
		if s.User == user && (except == "" || s.ID != except) {
			delete(m.sessions, d)
			n++
		}
	}
	return n
}

// PutToken implements accounts.Store.
func (m *Memory) PutToken(_ context.Context, t accounts.Token) error {
	defer m.lock()()
	if m.secrets[t.User] == nil {
		return accounts.ErrNone
	}
	m.tokens[t.Digest] = t
	return nil
}

// Token implements accounts.Store.
func (m *Memory) Token(_ context.Context, token accounts.Digest) (accounts.Token, accounts.User, error) {
	defer m.lock()()
	t, ok := m.tokens[token]
	if !ok {
		return t, accounts.User{}, accounts.ErrNone
	}
	u, err := m.find(func(u accounts.User) bool { return u.ID == t.User })
	return t, u, err
}

// Tokens implements accounts.Store.
func (m *Memory) Tokens(_ context.Context, user string) (out []accounts.Token, err error) {
	defer m.lock()()
	for _, t := range m.tokens {
		if user == "" || t.User == user {
			out = append(out, t)
		}
	}
	slices.SortFunc(out, func(a, b accounts.Token) int {
		return cmp.Or(b.Created.Compare(a.Created), cmp.Compare(a.ID, b.ID))
	})
	return out, nil
}

// TouchToken implements accounts.Store.
func (m *Memory) TouchToken(_ context.Context, token accounts.Digest, at time.Time, from string) error {
	defer m.lock()()
	if t, ok := m.tokens[token]; ok {
		t.Used, t.UsedFrom = at, from
		m.tokens[token] = t
	}
	return nil
}

// RemoveToken implements accounts.Store.
func (m *Memory) RemoveToken(_ context.Context, id string) (bool, error) {
	defer m.lock()()
	for d, t := range m.tokens {
		if t.ID == id {
			delete(m.tokens, d)
			return true, nil
		}
	}
	return false, nil
}

// PutCode implements accounts.Store.
func (m *Memory) PutCode(_ context.Context, user string, digest accounts.Digest, expires time.Time) error {
	defer m.lock()()
	if m.secrets[user] == nil {
		return accounts.ErrNone
	}
	m.codes[user] = code{digest, expires}
	return nil
}

// Code implements accounts.Store.
func (m *Memory) Code(_ context.Context, digest accounts.Digest, now time.Time) (string, error) {
	defer m.lock()()
	for user, c := range m.codes {
		if c.digest == digest && now.Before(c.expires) {
			return user, nil
		}
	}
	return "", accounts.ErrNone
}

// TakeCode implements accounts.Store.
func (m *Memory) TakeCode(_ context.Context, digest accounts.Digest) (bool, error) {
	defer m.lock()()
	for user, c := range m.codes {
		if c.digest == digest {
			delete(m.codes, user)
			return true, nil
		}
	}
	return false, nil
}

// Sweep implements accounts.Store.
func (m *Memory) Sweep(_ context.Context, now, idle, old, pending time.Time) error {
	defer m.lock()()
	for d, s := range m.sessions {
		if s.Seen.Before(idle) || s.Created.Before(old) || s.Pending && s.Created.Before(pending) {
			delete(m.sessions, d)
		}
	}
	for d, t := range m.tokens {
		if !now.Before(t.Expires) {
			delete(m.tokens, d)
		}
	}
	for user, c := range m.codes {
		if !now.Before(c.expires) {
			delete(m.codes, user)
		}
	}
	return nil
}
