// Package pmg reads a backup of a Proxmox Mail Gateway: the gzipped tar that pmgbackup writes, with the rule database as SQL
// COPY (Proxmox_ruledb.sql), /etc/pmg as a tar within (config_backup.tar), version.txt and their MD5 sums. The formats are those of
// proxmox/pmg-api: src/PMG/Backup.pm (dumpdb, pmg_backup_pack), src/PMG/Config.pm (the sections of pmg.conf, domains, transport,
// mynetworks, tls_policy) and src/PMG/RuleDB/*.pm (the kinds of objects). Nothing is written, no name in an archive is ever a path,
// and everything is bounded. It knows nothing of Gatepost.
package pmg

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"path"
	"strings"
)

// Bounds of what is read.
const (
	maxArchive = 256 << 20 // octets after decompression: statistics may be in it, which are passed over
	maxFile    = 16 << 20  // octets of one file
	maxNames   = 20_000    // files in an archive
	maxRows    = 200_000   // rows of a table
)

// Backup is what a backup says.
type Backup struct {
	Version string // "product: pmg-api ..." of version.txt
	Config  Sections
	Files   map[string][]byte // of /etc/pmg, by name: "domains", "transport", "mynetworks", "tls_policy"
	Rules   Rules
	Faults  []Fault
}

// Fault is something that could not be read.
type Fault struct {
	Where string
	Why   string
}

// files of /etc/pmg that are kept; the rest is named in Other.
func kept(name string) bool {
	switch name {
	case "pmg.conf", "domains", "transport", "mynetworks", "tls_policy", "tls_inbound_domains", "ldap.conf":
		return true
	}
	return false
}

// Read reads a backup. Error: it is no such archive, or larger than is read.
func Read(r io.Reader) (*Backup, error) { return read(r, maxArchive) }

func read(r io.Reader, most int64) (*Backup, error) {
	zipped, err := gzip.NewReader(r)
	if err != nil {
		return nil, fmt.Errorf("read backup: %w", err)
	}
	b := &Backup{Files: map[string][]byte{}}
	whole := &limited{r: zipped, left: most, most: most}
	seen := false
	err = walk(whole, func(name string, data func() ([]byte, error)) error {
		switch path.Base(path.Clean("/" + name)) {
		case "version.txt":
			text, err := data()
			b.Version = firstLine(text)
			return err
		case "Proxmox_ruledb.sql":
			text, err := data()
			if err == nil {
				seen = true
				b.Rules = b.readRules(text)
			}
			return err
		case "config_backup.tar":
			text, err := data()
			if err == nil {
				seen = true
				err = b.readConfig(text)
			}
			return err
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("read backup: %w", err)
	}
	if !seen {
		return nil, errors.New("read backup: neither Proxmox_ruledb.sql nor config_backup.tar is in it")
	}
	return b, nil
}

func firstLine(text []byte) string {
	line, _, _ := strings.Cut(string(text), "\n")
	if len(line) > 100 {
		line = line[:100]
	}
	return strings.ToValidUTF8(line, "?")
}

// limited fails when more comes out than is allowed: an archive of zeros is small.
type limited struct {
	r          io.Reader
	left, most int64
}

func (l *limited) Read(p []byte) (int, error) {
	n, err := l.r.Read(p)
	if l.left -= int64(n); l.left < 0 {
		return 0, fmt.Errorf("it is larger than %d MiB", l.most>>20)
	}
	return n, err
}

// walk calls each for every regular file of a tar; links, devices and folders are passed over.
func walk(r io.Reader, each func(name string, data func() ([]byte, error)) error) error {
	t := tar.NewReader(r)
	for n := 0; ; n++ {
		h, err := t.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if n >= maxNames {
			return fmt.Errorf("it has more than %d files", maxNames)
		}
		if h.Typeflag != tar.TypeReg {
			continue
		}
		err = each(h.Name, func() ([]byte, error) {
			data, err := io.ReadAll(io.LimitReader(t, maxFile+1))
			if err == nil && len(data) > maxFile {
				err = errors.New("a file in it is larger than 16 MiB")
			}
			return data, err
		})
		if err != nil {
			return err
		}
	}
}

func (b *Backup) readConfig(archive []byte) error {
	return walk(bytes.NewReader(archive), func(name string, data func() ([]byte, error)) error {
		dir, base := path.Split(path.Clean("/" + name))
		if dir != "/etc/pmg/" || !kept(base) {
			return nil
		}
		text, err := data()
		if err != nil {
			return err
		}
		if base == "pmg.conf" {
			b.Config = readSections(text)
			return nil
		}
		b.Files[base] = text
		return nil
	})
}

func (b *Backup) fault(where, why string) {
	if len(b.Faults) < 1000 {
		b.Faults = append(b.Faults, Fault{where, why})
	}
}

// Value is one key of pmg.conf.
type Value struct {
	Key, Text string
	Line      int
}

// Sections are those of pmg.conf: "section: mail", then keys indented by a tab (PVE::SectionConfig).
type Sections map[string][]Value

// Get returns a key of a section.
func (s Sections) Get(section, key string) (Value, bool) {
	for _, v := range s[section] {
		if v.Key == key {
			return v, true
		}
	}
	return Value{}, false
}

func readSections(text []byte) Sections {
	s := Sections{}
	section, n := "", 0
	for line := range strings.Lines(string(text)) {
		n++
		line = strings.TrimRight(line, "\r\n")
		bare := strings.TrimSpace(line)
		if bare == "" || bare[0] == '#' {
			continue
		}
		if name, ok := strings.CutPrefix(line, "section:"); ok {
			section = strings.TrimSpace(name)
			continue
		}
		key, value, _ := strings.Cut(bare, " ")
		if k, v, ok := strings.Cut(key, "\t"); ok {
			key, value = k, v+" "+value
		}
		if section != "" && len(s[section]) < 1000 {
			s[section] = append(s[section], Value{key, strings.TrimSpace(value), n})
		}
	}
	return s
}

// Line is one line of a file of /etc/pmg with the comment that stands before or behind it.
type Line struct {
	Text, Comment string
	At            int
}

// Lines reads domains, transport, mynetworks and the like: "#comment" before a line or behind it.
func Lines(text []byte) (out []Line) {
	comment, n := "", 0
	for line := range strings.Lines(string(text)) {
		n++
		line = strings.TrimSpace(line)
		if line == "" {
			continue
		}
		if rest, ok := strings.CutPrefix(line, "#"); ok {
			comment = strings.TrimSpace(rest)
			continue
		}
		line, behind, ok := strings.Cut(line, "#")
		if ok {
			comment = strings.TrimSpace(behind)
		}
		if len(out) < maxRows {
			out = append(out, Line{strings.TrimSpace(line), comment, n})
		}
		comment = ""
	}
	return out
}
