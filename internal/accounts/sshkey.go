package accounts

import (
	"bytes"
	"context"
	"crypto/rsa"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"golang.org/x/crypto/ssh"

	"gatepost/internal/access"
)

// Bounds of SSH keys.
const (
	mostSSHKeys   = 10       // of a user
	longestSSHKey = 16 << 10 // octets of a line that is read
	leastRSA      = 3072     // bits (NIST SP 800-57 part 1: 128 bits of security)
	mostRSA       = 8192     // so that nobody has us compute for long
)

// SSHKey is a public key by which a user comes in by SSH.
type SSHKey struct {
	ID          string
	User        string // ID
	Name        string // that its user knows it by
	Kind        string // "ssh-ed25519", ...
	Fingerprint string // "SHA256:..."
	Data        []byte // as RFC 4253 section 6.6 writes it
	Created     time.Time
	Used        time.Time // zero for never
	UsedFrom    string
}

// SSHKinds are the kinds of keys that are taken: Ed25519, ECDSA, RSA, and the first two in a token of hardware.
func SSHKinds() []string {
	return []string{ssh.KeyAlgoED25519, ssh.KeyAlgoSKED25519, ssh.KeyAlgoECDSA256, ssh.KeyAlgoECDSA384, ssh.KeyAlgoECDSA521, ssh.KeyAlgoSKECDSA256, ssh.KeyAlgoRSA}
}

// readSSHKey reads a line as ssh-keygen writes it to a file *.pub.
func readSSHKey(text string) (k SSHKey, err error) {
	text = strings.TrimSpace(text)
	switch {
	case len(text) > longestSSHKey:
		return k, bad("key", "is too long for a public key")
	case strings.Contains(text, "PRIVATE KEY"):
		return k, bad("key", "is a private key, which nobody else may see; give the file that ends in .pub")
	case strings.ContainsAny(text, "\r\n"):
		return k, bad("key", "has several lines; give one key")
	}
	key, comment, options, _, err := ssh.ParseAuthorizedKey([]byte(text))
	switch {
	case err != nil:
		return k, bad("key", "is no public key of SSH; give the line of a file that ends in .pub")
	case len(options) > 0:
		return k, bad("key", "has options before it, which mean nothing here; give the key alone")
	case !slices.Contains(SSHKinds(), key.Type()):
		return k, bad("key", "of the kind %.40q is not taken; make one with ssh-keygen -t ed25519", key.Type())
	}
	if c, ok := key.(ssh.CryptoPublicKey); ok {
		if r, ok := c.CryptoPublicKey().(*rsa.PublicKey); ok && (r.N.BitLen() < leastRSA || r.N.BitLen() > mostRSA) {
			return k, bad("key", "has %d bits; RSA needs %d to %d, and ssh-keygen -t ed25519 makes a better one", r.N.BitLen(), leastRSA, mostRSA)
		}
	}
	return SSHKey{Name: comment, Kind: key.Type(), Fingerprint: ssh.FingerprintSHA256(key), Data: key.Marshal()}, nil
}

// AddSSHKey keeps a public key of whoever asks, or of a user upon whom he may act, under a name, by default the comment of the key.
// Neither a program nor somebody who came in by such a key adds one: it would outlive what let him in.
func (a *Accounts) AddSSHKey(ctx context.Context, who access.Actor, user, name, text string) (SSHKey, error) {
	if who.Via == access.ByToken || who.Via == access.BySSH {
		return SSHKey{}, &Refusal{Kind: Forbidden, Message: "neither a token nor a key adds a key", Hint: "add it in the console or by the command line of the machine"}
	}
	u, err := a.find(ctx, user)
	if err != nil {
		return SSHKey{}, err
	}
	if err := errors.Join(ownOrOver(who, u), a.Fresh(ctx, who)); err != nil {
		return SSHKey{}, err
	}
	k, err := readSSHKey(text)
	if err != nil {
		return SSHKey{}, err
	}
	if name = strings.TrimSpace(name); name != "" {
		k.Name = name
	}
	if k.Name == "" || !plainText(k.Name, 64) {
		return SSHKey{}, bad("name", "a key has a name of at most 64 characters, by which you know it")
	}
	all, err := a.store.SSHKeys(ctx, u.ID)
	if err != nil {
		return SSHKey{}, err
	}
	if len(all) >= mostSSHKeys {
		return SSHKey{}, &Refusal{Kind: Conflict, Message: fmt.Sprintf("the user has %d keys", mostSSHKeys), Hint: "remove one that is not used"}
	}
	k.ID, k.User, k.Created = newID(), u.ID, clock()
	if err := a.store.PutSSHKey(ctx, k); errors.Is(err, ErrNone) {
		return SSHKey{}, &Refusal{Kind: Conflict, Message: "the user has this key already", Field: "key"}
	} else if err != nil {
		return SSHKey{}, err
	}
	return k, nil
}

// SSHKeys lists those of a user, of all with "", the newest first.
func (a *Accounts) SSHKeys(ctx context.Context, name string) ([]SSHKey, error) {
	if name == "" {
		return a.store.SSHKeys(ctx, "")
	}
	u, err := a.find(ctx, name)
	if err != nil {
		return nil, err
	}
	return a.store.SSHKeys(ctx, u.ID)
}

// RemoveSSHKey takes away a key: one's own, or one of a user upon whom the actor may act. Whoever is in by it is out.
func (a *Accounts) RemoveSSHKey(ctx context.Context, who access.Actor, id string) (SSHKey, error) {
	none := &Refusal{Kind: Missing, Message: "there is no such key", Field: "id"}
	all, err := a.store.SSHKeys(ctx, "")
	if err != nil {
		return SSHKey{}, err
	}
	i := slices.IndexFunc(all, func(k SSHKey) bool { return k.ID == id })
	if i < 0 {
		return SSHKey{}, none
	}
	u, err := a.store.UserByID(ctx, all[i].User)
	if err != nil {
		return SSHKey{}, err
	}
	if !himself(who, u) && !who.May(access.UsersChange) {
		return SSHKey{}, none // whose it is, is not for whoever may not change users
	}
	if err := ownOrOver(who, u); err != nil {
		return SSHKey{}, err
	}
	there, err := a.store.RemoveSSHKey(ctx, id)
	if err == nil && !there {
		err = none
	}
	return all[i], err
}

// FromSSHKey says who is behind a public key, as RFC 4253 section 6.6 writes it, that a client has or offers under a name. It is
// Wrong where the user has no such key, or is let in no more; rights are those that he has now.
func (a *Accounts) FromSSHKey(ctx context.Context, name string, data []byte, address netip.Addr) (access.Actor, SSHKey, error) {
	no := &Refusal{Kind: Wrong, Message: "the key is none of this user"}
	key, err := ssh.ParsePublicKey(data)
	if name = Name(name); err != nil || name == "" {
		return access.Actor{}, SSHKey{}, no
	}
	k, u, err := a.store.SSHKey(ctx, name, ssh.FingerprintSHA256(key))
	now := clock()
	if errors.Is(err, ErrNone) || err == nil && (!bytes.Equal(k.Data, data) || u.out() || a.stale(u, now)) {
		return access.Actor{}, SSHKey{}, no
	}
	if err != nil {
		return access.Actor{}, SSHKey{}, err
	}
	return access.Actor{Name: u.Name, Role: u.Role, Domains: u.Domains, Via: access.BySSH, Address: address}, k, nil
}

// UsedSSHKey notes that somebody came in by a key.
func (a *Accounts) UsedSSHKey(ctx context.Context, k SSHKey, address netip.Addr) error {
	return a.store.TouchSSHKey(ctx, k.ID, clock(), addressText(address))
}
