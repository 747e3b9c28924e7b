package config

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
)

// BuiltinVersion is the version of the policy that is used without a policy.toml; it serves no domain.
const BuiltinVersion = "builtin"

// Config is both documents, ready for use.
type Config struct {
	Bootstrap     *Bootstrap
	Policy        *Policy
	BootstrapPath string // "" if the document is missing and every key has its default
	PolicyPath    string // "" if the built-in policy is used
	PolicyText    []byte // its octets; nil if the built-in policy is used
	Version       bool   // a version that was published counts, and policy.toml does not
	Where         Where  // the places of the policy's keys: "checks.spf.action" -> "policy.toml:12"
	BootstrapAt   Where  // those of the keys of gatepost.toml
	PolicyVersion string // the first 12 hex digits of the SHA-256 of the document's octets, or BuiltinVersion; whoever reads a file that the document names may add to it
}

// Load reads gatepost.toml and, beside it, policy.toml. The path is a folder, in which both may be missing, or a file,
// which must be there and may have any name. Once a version of the policy was published, its copy in the state folder is
// read in place of policy.toml. The Config is nil when the problems refuse it; otherwise the problems are warnings. Nothing
// is written, and nothing that the documents name is opened.
func Load(path string, sections Sections) (*Config, Problems) {
	return load(path, sections, published)
}

// LoadText is Load with another text in place of that of gatepost.toml: what would be in force with it.
func LoadText(path string, text []byte, sections Sections) (*Config, Problems) {
	c := &Config{BootstrapPath: BootstrapIn(path)}
	return c.load(c.BootstrapPath, c.decode(c.BootstrapPath, text), sections, published)
}

// LoadFiles is Load without what was published: the two documents as they lie there.
func LoadFiles(path string, sections Sections) (*Config, Problems) {
	return load(path, sections, func(*Bootstrap) (string, []byte, Problems) { return "", nil, nil })
}

// LoadBootstrap reads gatepost.toml alone, as Load does: for whoever only asks the daemon, which a mistake in policy.toml must
// not keep from it. It is nil when the problems refuse it.
func LoadBootstrap(path string) (*Bootstrap, Problems) {
	c := &Config{}
	if _, all := c.loadBootstrap(path); all.Refused() {
		return nil, all
	}
	return c.Bootstrap, nil
}

// BootstrapIn is the file that is read of the path that Load takes: gatepost.toml of a folder, else the path itself.
func BootstrapIn(path string) string {
	if info, err := os.Stat(path); err == nil && info.IsDir() {
		return filepath.Join(path, BootstrapFile)
	}
	return path
}

// loadBootstrap reads gatepost.toml, and returns which file that is.
func (c *Config) loadBootstrap(path string) (file string, all Problems) {
	file = BootstrapIn(path)
	data, problem := readFile(file)
	if problem != nil && (file == path || !errors.Is(problem, fs.ErrNotExist)) {
		return file, Problems{unreadable(file, problem)}
	}
	if problem == nil {
		c.BootstrapPath = file
	}
	return file, c.decode(file, data)
}

// decode reads the text of gatepost.toml.
func (c *Config) decode(file string, text []byte) (all Problems) {
	c.BootstrapAt = Where{}
	c.Bootstrap, all = decodeBootstrap(file, text, c.BootstrapAt)
	return all
}

// load reads both documents. version says which counts in place of policy.toml; "" for none.
func load(path string, sections Sections, version func(*Bootstrap) (string, []byte, Problems)) (*Config, Problems) {
	c := &Config{}
	bootstrap, all := c.loadBootstrap(path)
	return c.load(bootstrap, all, sections, version)
}

// load reads the other document, and what both say together. bootstrap is the file that was read, with what is wrong in it.
func (c *Config) load(bootstrap string, all Problems, sections Sections, version func(*Bootstrap) (string, []byte, Problems)) (*Config, Problems) {
	var data []byte
	var problem error
	policy := filepath.Join(filepath.Dir(bootstrap), PolicyFile)
	if c.Bootstrap != nil {
		file, text, found := version(c.Bootstrap)
		all = append(all, found...)
		if file != "" {
			policy, data, problem, c.Version = file, text, nil, true
		}
	}
	if !c.Version {
		data, problem = readFile(policy)
	}
	switch {
	case errors.Is(problem, fs.ErrNotExist):
		c.Policy, c.PolicyVersion = BuiltinPolicy(sections), BuiltinVersion
		all = append(all, Problem{File: policy, Warning: true, Message: "is missing, so no domain is served",
			Instead: "write it; gatepost policy default prints one to begin with"})
	case problem != nil:
		all = append(all, unreadable(policy, problem))
	default:
		var found Problems
		c.Policy, c.Where = new(Policy), Where{}
		found = Decode(policy, data, c.Policy, policyOptions(sections, c.Where))
		c.PolicyPath, c.PolicyVersion, c.PolicyText = policy, Version(data), data
		all = append(all, found...)
	}
	if !all.Refused() {
		all = append(all, c.untrusted(policy)...)
		all = append(all, c.linkless(policy)...)
	}
	if all.Refused() {
		return nil, all
	}
	return c, append(all, c.machineName(bootstrap)...)
}

// Builtin is the configuration without any document: every key has its default and no domain is served.
func Builtin(sections Sections) *Config {
	b, _ := DecodeBootstrap(BootstrapFile, nil)
	c := &Config{Bootstrap: b, Policy: BuiltinPolicy(sections), PolicyVersion: BuiltinVersion}
	c.machineName(BootstrapFile)
	return c
}

// machineName takes the machine's name where the document has none.
func (c *Config) machineName(file string) Problems {
	if c.Bootstrap.Hostname != "" {
		return nil
	}
	name, err := os.Hostname()
	if err == nil {
		c.Bootstrap.Hostname = name
		if canonical, bad := checkHostname(name); bad == nil {
			c.Bootstrap.Hostname = canonical
			return nil
		}
	}
	return Problems{{File: file, Key: "hostname", Warning: true,
		Message: "is not set, and the machine's name " + shown(name) + " is not fully qualified",
		Instead: `write for example hostname = "mx.example.org"`}}
}

// DecodeBootstrap reads gatepost.toml; the file name is only for the problems. Hostname stays empty if not written.
func DecodeBootstrap(file string, data []byte) (*Bootstrap, Problems) {
	return decodeBootstrap(file, data, nil)
}

func decodeBootstrap(file string, data []byte, where Where) (*Bootstrap, Problems) {
	b := new(Bootstrap)
	return b, Decode(file, data, b, Options{Where: where, Others: map[string]Pointer{PolicyFile: (*Policy)(nil)}})
}

// DecodePolicy reads policy.toml; the file name is only for the problems.
func DecodePolicy(file string, data []byte, sections Sections) (*Policy, Problems) {
	p := new(Policy)
	return p, Decode(file, data, p, policyOptions(sections, nil))
}

func policyOptions(sections Sections, where Where) Options {
	return Options{Sections: sections, Where: where, Others: map[string]Pointer{BootstrapFile: (*Bootstrap)(nil)}}
}

// BuiltinPolicy is the policy without a document: every key has its default and no domain is served.
func BuiltinPolicy(sections Sections) *Policy {
	p, _ := DecodePolicy(PolicyFile, nil, sections)
	return p
}

// Version names a policy document by its octets: 12 hex digits.
func Version(data []byte) string {
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:6])
}

// readFile reads a regular file, one octet more than is allowed at most: Decode says that it is too large.
func readFile(path string) ([]byte, error) { return readUpTo(path, MaxFile) }

// readUpTo reads a regular file, and one octet more than is allowed at most.
func readUpTo(path string, most int64) ([]byte, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, errors.New("not a regular file")
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, most+1))
	if err != nil {
		return nil, fmt.Errorf("read: %w", err)
	}
	return data, nil
}

func unreadable(file string, err error) Problem {
	p := Problem{File: file, Message: "cannot be read: " + err.Error(), Instead: "check the path and the rights of the user gatepost"}
	if pe, ok := errors.AsType[*fs.PathError](err); ok {
		p.Message = "cannot be read: " + pe.Err.Error()
	}
	return p
}
