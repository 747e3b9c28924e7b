package oidc

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/subtle"
	"encoding/base64"
	"encoding/json"
	"errors"
	"sync"
	"time"
)

// attempt is all that a login needs to go on; a ticket is it, sealed.
type attempt struct {
	State, Nonce, Verifier string
	Redirect, Carry        string
	Again                  bool
	Began                  int64 // seconds
}

func sealer(key []byte) (cipher.AEAD, error) {
	if len(key) != KeySize {
		return nil, errors.New("oidc: the key has not 32 octets")
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	return cipher.NewGCMWithRandomNonce(block)
}

// bound is what a ticket is bound to, besides the key.
func (c *Client) bound() []byte { return []byte("oidc login\n" + c.c.Issuer + "\n" + c.c.ClientID) }

func (c *Client) seal(a attempt) (string, error) {
	text, err := json.Marshal(a)
	if err != nil {
		return "", err
	}
	return base64.RawURLEncoding.EncodeToString(c.aead.Seal(nil, nil, text, c.bound())), nil
}

// open reads a ticket that is ours and not over, and whose state is the one that came.
func (c *Client) open(ticket, state string) (a attempt, err error) {
	raw, err := base64.RawURLEncoding.DecodeString(ticket)
	if err != nil || len(ticket) > MaxTicket {
		return a, refused("it was not begun in this browser")
	}
	text, err := c.aead.Open(nil, nil, raw, c.bound())
	if err != nil || json.Unmarshal(text, &a) != nil {
		return a, refused("it was not begun in this browser")
	}
	if subtle.ConstantTimeCompare([]byte(a.State), []byte(state)) != 1 {
		return a, refused("the state is that of another login")
	}
	if since := time.Since(time.Unix(a.Began, 0)); since > LoginTime || since < -time.Minute {
		return a, refused("it took longer than %s", LoginTime)
	}
	return a, nil
}

// used are the states of logins that ended, until their tickets are over.
type used struct {
	mu   sync.Mutex
	till map[string]time.Time
}

// mostUsed is how many ends of logins are remembered: of 10 minutes.
const mostUsed = 10_000

// take notes a state, and reports whether it may be used: once, and only while there is room to remember it.
func (u *used) take(state string, now time.Time) bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.till == nil {
		u.till = map[string]time.Time{}
	}
	if _, there := u.till[state]; there {
		return false
	}
	if len(u.till) >= mostUsed {
		for s, till := range u.till {
			if now.After(till) {
				delete(u.till, s)
			}
		}
		if len(u.till) >= mostUsed {
			return false
		}
	}
	u.till[state] = now.Add(LoginTime + 2*time.Minute)
	return true
}
