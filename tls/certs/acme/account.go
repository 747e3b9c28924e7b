package acme

import (
	"context"
	"crypto"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"

	wire "golang.org/x/crypto/acme"

	"gatepost/internal/durable"
)

// Authority is a certificate authority, and our account there. Its fields are set before its first use.
type Authority struct {
	// Directory is its https URL (RFC 8555 section 7.1.1); empty: LetsEncrypt.
	Directory string
	// Email is whom it may write to; empty: nobody.
	Email string
	// Agreed says that a person has agreed to its terms.
	Agreed bool
	// BindingID and BindingKey bind our account to one that it has of us already (RFC 8555 section 7.3.4); empty: none.
	BindingID  string
	BindingKey []byte
	// Roots verify its https; nil: those of the system.
	Roots *x509.CertPool
	// Dial connects to it; nil: net.Dialer.
	Dial dialer
	// Dir keeps the account: state_dir/certs. It must be there.
	Dir string
	Log *slog.Logger

	once sync.Once
	way  http.RoundTripper // to it, made at the first use
}

// ParseBindingKey reads the key of an external account binding as authorities hand it out: base64url, with or without
// padding and line ends. The error never has the key.
func ParseBindingKey(text string) ([]byte, error) {
	text = strings.NewReplacer("+", "-", "/", "_").Replace(strings.TrimRight(strings.TrimSpace(text), "="))
	key, err := base64.RawURLEncoding.DecodeString(text)
	if err != nil || len(key) < 16 {
		return nil, errors.New("is no key in base64url of 16 octets or more")
	}
	return key, nil
}

// account is what is kept of an account, beside its key.
type account struct {
	Directory string `json:"directory"`
	URI       string `json:"uri"` // RFC 8555 section 7.3: its name from then on
	Email     string `json:"email"`
}

func (a *Authority) directory() string {
	if a.Directory == "" {
		return LetsEncrypt
	}
	return a.Directory
}

// file is where a part of the account is kept: an authority's own, so that another directory is another account.
func (a *Authority) file(suffix string) string {
	sum := sha256.Sum256([]byte(a.directory()))
	return filepath.Join(a.Dir, "account-"+hex.EncodeToString(sum[:6])+suffix)
}

// key returns the account's key, and makes it the first time.
func (a *Authority) key() (crypto.Signer, error) {
	name := a.file(".key")
	p, err := readPair(name)
	if err == nil {
		return p.key, nil
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return nil, err // a damaged one is for a person to look at: with it the account would go
	}
	key, err := newKey(ECDSA)
	if err != nil {
		return nil, err
	}
	return key, writePair(name, &pair{key: key})
}

// client makes the client of one order; it knows the account, if there is one.
func (a *Authority) client() (*wire.Client, error) {
	key, err := a.key()
	if err != nil {
		return nil, fmt.Errorf("account: %w", err)
	}
	c := a.stranger()
	c.Key = key
	return c, nil
}

// stranger makes a client without an account, for one order or look.
func (a *Authority) stranger() *wire.Client {
	a.once.Do(func() {
		if a.way == nil {
			a.way = newTransport(a.Roots, a.Dial)
		}
	})
	return &wire.Client{HTTPClient: newHTTPClient(a.way), DirectoryURL: a.directory(), RetryBackoff: pause, UserAgent: "gatepost"}
}

// kept returns what is known of the account; nothing where a file is missing or damaged, since it can be asked for.
func (a *Authority) kept() (out account) {
	if text, err := os.ReadFile(a.file(".json")); err == nil && json.Unmarshal(text, &out) == nil && out.Directory == a.directory() {
		return out
	}
	return account{}
}

// ready returns a client with an account, which is registered the first time.
func (a *Authority) ready(ctx context.Context) (*wire.Client, error) {
	c, err := a.client()
	if err != nil {
		return nil, err
	}
	known := a.kept()
	if known.URI != "" {
		c.KID = wire.KeyID(known.URI)
	}
	if known.URI == "" || known.Email != a.Email {
		if err := a.register(ctx, c); err != nil {
			return nil, fmt.Errorf("account: %w", err)
		}
	}
	return c, nil
}

// forget drops what is known of the account, but for its key: the authority knows it no longer.
func (a *Authority) forget() error { return remove(a.file(".json")) }

// refusal says why the directory's conditions are not met; nil when they are.
func (a *Authority) refusal(d *wire.Directory) error {
	switch {
	case d.Terms != "" && !a.Agreed:
		return fmt.Errorf("the authority asks to agree to its terms, %s; read them, and write agree_terms = true in [acme] of gatepost.toml", clean(d.Terms, 300))
	case d.ExternalAccountRequired && a.BindingID == "":
		return errors.New("the authority wants accounts that it knows already: write eab_key_id and eab_key_file in [acme] of gatepost.toml")
	}
	return nil
}

// register makes the account, finds that it is there, or tells the authority a new contact.
func (a *Authority) register(ctx context.Context, c *wire.Client) error {
	d, err := c.Discover(ctx)
	if err != nil {
		return err
	}
	if err := a.refusal(&d); err != nil {
		return err
	}
	var contact []string
	if a.Email != "" {
		contact = []string{"mailto:" + a.Email}
	}
	want := &wire.Account{Contact: contact}
	if a.BindingID != "" {
		want.ExternalAccountBinding = &wire.ExternalAccountBinding{KID: a.BindingID, Key: a.BindingKey}
	}
	before := c.KID
	if before == "" {
		_, err = c.Register(ctx, want, func(string) bool { return a.Agreed })
	}
	if before != "" || errors.Is(err, wire.ErrAccountAlreadyExists) {
		_, err = c.UpdateReg(ctx, &wire.Account{Contact: contact})
	}
	if err != nil {
		return err
	}
	text, err := json.Marshal(account{Directory: a.directory(), URI: string(c.KID), Email: a.Email})
	if err != nil {
		return fmt.Errorf("keep: %w", err)
	}
	a.Log.Info("acme: registered", "directory", a.directory(), "account", clean(string(c.KID), 200))
	return durable.WriteFile(a.file(".json"), text, 0o600)
}

// Look reads the directory and says what it wants, for a person: no account is made.
func (a *Authority) Look(ctx context.Context) (string, error) {
	c := a.stranger()
	defer c.HTTPClient.CloseIdleConnections()
	d, err := c.Discover(ctx)
	if err != nil {
		return "", errors.New(words(err))
	}
	if err := a.refusal(&d); err != nil {
		return "", err
	}
	said := "answers"
	if d.Terms != "" {
		said += "; its terms: " + clean(d.Terms, 200)
	}
	return said, nil
}
