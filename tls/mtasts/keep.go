package mtasts

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"gatepost/internal/durable"
)

// kept is the file of one domain, DOMAIN.json.
type kept struct {
	ID      string    `json:"id"`
	Fetched time.Time `json:"fetched"`
	Policy  string    `json:"policy"` // as it is published
}

func (c *Cache) file(domain string) string { return filepath.Join(c.Dir, domain+".json") }

// save keeps a policy. The file is whole, old or new.
func (c *Cache) save(domain string, e *entry) error {
	if c.Dir == "" {
		return nil
	}
	text, err := json.Marshal(kept{e.policy.ID, e.fetched.UTC(), string(e.policy.Text())})
	if err != nil {
		return err
	}
	return WriteFile(c.file(domain), append(text, '\n'))
}

// WriteFile writes a file of the state folder so that it is whole, old or new, after a crash too. It makes the folder.
func WriteFile(name string, text []byte) error {
	if err := os.MkdirAll(filepath.Dir(name), 0o700); err != nil {
		return fmt.Errorf("mta-sts: %w", err)
	}
	if err := durable.WriteFile(name, text, 0o600); err != nil {
		return fmt.Errorf("mta-sts: %w", err)
	}
	return nil
}

// load reads what was kept, at most maxDomains.
func (c *Cache) load() {
	if c.Dir == "" {
		return
	}
	files, err := os.ReadDir(c.Dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		c.Log.Warn("mta-sts: policies that were kept cannot be read", "error", err)
	}
	now := time.Now()
	for _, f := range files {
		domain, ok := strings.CutSuffix(f.Name(), ".json")
		if !ok || !f.Type().IsRegular() || CheckPattern(domain) != nil || len(c.domains) >= maxDomains {
			continue
		}
		e, err := c.read(domain)
		if err != nil {
			c.Log.Warn("mta-sts: a policy that was kept cannot be read", "domain", domain, "error", err)
			continue
		}
		if e.fetched.After(now) {
			e.fetched = now // the clock went back
		}
		e.used = now
		if !e.holds(now) {
			_ = os.Remove(c.file(domain))
			continue
		}
		c.domains[domain] = e
	}
}

func (c *Cache) read(domain string) (*entry, error) {
	text, err := os.ReadFile(c.file(domain))
	if err != nil {
		return nil, err
	}
	var k kept
	if err := json.Unmarshal(text, &k); err != nil {
		return nil, err
	}
	p, err := Parse([]byte(k.Policy))
	if err != nil {
		return nil, err
	}
	p.ID = k.ID
	return &entry{policy: p, fetched: k.Fetched}, nil
}

// forget drops a domain, on disk too. The caller holds the lock.
func (c *Cache) forget(domain string) {
	delete(c.domains, domain)
	if c.Dir != "" {
		_ = os.Remove(c.file(domain))
	}
}
