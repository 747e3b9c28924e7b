package storetest

import (
	"context"
	"slices"
	"strings"
	"time"

	"gatepost/internal/accounts"
)

// PutSSHKey implements accounts.Store.
func (m *Memory) PutSSHKey(_ context.Context, k accounts.SSHKey) error {
	defer m.lock()()
	if m.secrets[k.User] == nil || slices.ContainsFunc(m.keys, func(o accounts.SSHKey) bool { return o.User == k.User && o.Fingerprint == k.Fingerprint }) {
		return accounts.ErrNone
	}
	m.keys = append(m.keys, k)
	return nil
}

// SSHKey implements accounts.Store.
func (m *Memory) SSHKey(_ context.Context, name, fingerprint string) (accounts.SSHKey, accounts.User, error) {
	defer m.lock()()
	u, err := m.find(func(u accounts.User) bool { return u.Name == name })
	if err != nil {
		return accounts.SSHKey{}, u, err
	}
	i := slices.IndexFunc(m.keys, func(k accounts.SSHKey) bool { return k.User == u.ID && k.Fingerprint == fingerprint })
	if i < 0 {
		return accounts.SSHKey{}, accounts.User{}, accounts.ErrNone
	}
	return m.keys[i], u, nil
}

// SSHKeys implements accounts.Store.
func (m *Memory) SSHKeys(_ context.Context, user string) (out []accounts.SSHKey, err error) {
	defer m.lock()()
	for _, k := range m.keys {
		if user == "" || k.User == user {
			out = append(out, k)
		}
	}
	slices.SortFunc(out, func(a, b accounts.SSHKey) int {
		if c := b.Created.Compare(a.Created); c != 0 {
			return c
		}
		return strings.Compare(a.ID, b.ID)
	})
	return out, nil
}

// TouchSSHKey implements accounts.Store.
func (m *Memory) TouchSSHKey(_ context.Context, id string, at time.Time, from string) error {
	defer m.lock()()
	for i := range m.keys {
		if m.keys[i].ID == id {
			m.keys[i].Used, m.keys[i].UsedFrom = at, from
		}
	}
	return nil
}

// RemoveSSHKey implements accounts.Store.
func (m *Memory) RemoveSSHKey(_ context.Context, id string) (bool, error) {
	defer m.lock()()
	n := len(m.keys)
	m.keys = slices.DeleteFunc(m.keys, func(k accounts.SSHKey) bool { return k.ID == id })
	return len(m.keys) < n, nil
}
