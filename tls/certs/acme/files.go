package acme

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"gatepost/internal/durable"
	"gatepost/tls/certs"
)

// maxFile bounds what is read of a file of ours.
const maxFile = 1 << 20

// pair is a private key, and the certificate of it with its chain, once there is one.
type pair struct {
	key   crypto.Signer
	chain [][]byte
}

// certificate returns what a handshake shows.
func (p *pair) certificate() (*tls.Certificate, error) {
	if len(p.chain) == 0 {
		return nil, errors.New("there is no certificate yet")
	}
	leaf, err := x509.ParseCertificate(p.chain[0])
	if err != nil {
		return nil, fmt.Errorf("certificate: %w", err)
	}
	if !certs.SameKey(leaf.PublicKey, p.key.Public()) {
		return nil, errors.New("the certificate is of another key")
	}
	return &tls.Certificate{Certificate: p.chain, PrivateKey: p.key, Leaf: leaf}, nil
}

// readPair reads key and chain from one PEM file: that they are one is why neither is ever without the other.
func readPair(name string) (*pair, error) {
	text, err := readFile(name)
	if err != nil {
		return nil, err
	}
	p := new(pair)
	for {
		var b *pem.Block
		if b, text = pem.Decode(text); b == nil {
			break
		}
		switch b.Type {
		case "PRIVATE KEY":
			key, err := x509.ParsePKCS8PrivateKey(b.Bytes)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", name, err)
			}
			switch key := key.(type) {
			case *ecdsa.PrivateKey:
				p.key = key
			case *rsa.PrivateKey:
				p.key = key
			}
		case "CERTIFICATE":
			p.chain = append(p.chain, b.Bytes)
		}
	}
	if p.key == nil {
		return nil, fmt.Errorf("%s: there is no private key in it", name)
	}
	return p, nil
}

// writePair keeps a pair.
func writePair(name string, p *pair) error {
	der, err := x509.MarshalPKCS8PrivateKey(p.key)
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	var b bytes.Buffer
	_ = pem.Encode(&b, &pem.Block{Type: "PRIVATE KEY", Bytes: der}) // a Buffer takes everything
	for _, c := range p.chain {
		_ = pem.Encode(&b, &pem.Block{Type: "CERTIFICATE", Bytes: c})
	}
	return durable.WriteFile(name, b.Bytes(), 0o600)
}

func readFile(name string) ([]byte, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(io.LimitReader(f, maxFile))
}

// remove takes a file away for good; one that is not there is no error.
func remove(name string) error {
	if err := os.Remove(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return durable.SyncFolder(filepath.Dir(name))
}

// sweep removes what a crash left half written.
func sweep(dir string) {
	left, _ := filepath.Glob(filepath.Join(dir, "*"+durable.Half))
	for _, name := range left {
		_ = os.Remove(name)
	}
}

// memory is what is kept of an entry beside its keys, so that a restart neither asks too often nor begins anew.
type memory struct {
	Orders   []time.Time       `json:"orders,omitempty"`   // of the last 24 hours
	Open     map[string]string `json:"open,omitempty"`     // the address of an order that is not over, by kind of key
	Failures int               `json:"failures,omitempty"` // since the last that went well
	Next     time.Time         `json:"next,omitzero"`      // no try before
	Error    string            `json:"error,omitempty"`    // of the last failure
	ErrorAt  time.Time         `json:"error_at,omitzero"`
	Done     time.Time         `json:"done,omitzero"`       // the last certificate came
	KeptKeys map[string]string `json:"kept_keys,omitempty"` // why the last renewal kept a key, by its kind
}

const memoryFile = "state.json"

// readMemory reads what is kept of an entry; a damaged file is as good as none.
func readMemory(dir string) (m memory) {
	if text, err := readFile(filepath.Join(dir, memoryFile)); err != nil || json.Unmarshal(text, &m) != nil {
		m = memory{}
	}
	if m.Open == nil {
		m.Open = map[string]string{}
	}
	if m.KeptKeys == nil {
		m.KeptKeys = map[string]string{}
	}
	m.Error = clean(m.Error, maxWords)
	return m
}

func (m *memory) write(dir string) error {
	text, err := json.Marshal(m)
	if err != nil {
		return fmt.Errorf("keep: %w", err)
	}
	return durable.WriteFile(filepath.Join(dir, memoryFile), append(text, '\n'), 0o600)
}

// Files of an entry: of each kind of key the pair that is shown, and the key that comes next.
func currentFile(dir string, t KeyType) string { return filepath.Join(dir, t.String()+".pem") }
func nextFile(dir string, t KeyType) string    { return filepath.Join(dir, t.String()+".next.pem") }

// entryFolder makes an entry's folder below dir.
func entryFolder(dir string, e *Entry) (string, error) {
	name := filepath.Join(dir, e.folder())
	if strings.ContainsAny(e.folder(), "/\\") || e.folder() == "" || e.folder()[0] == '.' {
		return "", fmt.Errorf("acme: %q cannot be the name of a folder", e.Name())
	}
	if err := os.MkdirAll(name, 0o700); err != nil {
		return "", err
	}
	return name, nil
}
