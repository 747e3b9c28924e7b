package config

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"strconv"
	"time"
)

// PublishedFile is the copy of the published policy in the state folder. It is there once a version was published, and the
// daemon starts with it, so that it needs no store for that.
const PublishedFile = "published.json"

// Published is the policy that was published last, as far as this node knows, with the one that comes back where it must be
// confirmed. internal/versions writes it; whoever reads the configuration finds it by Load.
type Published struct {
	Number  int64     `json:"number"` // of the version
	Epoch   int64     `json:"epoch"`  // of the store's head, which this is a copy of
	Time    time.Time `json:"time"`   // when it was published
	Author  string    `json:"author"`
	Kind    string    `json:"kind"` // how it came to be; see internal/versions
	Text    string    `json:"text"`
	Confirm time.Time `json:"confirm,omitzero"` // until when somebody must confirm it; zero: nobody must
	Back    int64     `json:"back,omitempty"`   // the version that comes back where it has to; 0: none
	Before  string    `json:"before,omitempty"` // its text
	Sum     string    `json:"sum"`              // over all the others: a file that the disk spoiled is not used
}

// maxPublished bounds the file: two documents as JSON, each octet of which may have become six.
const maxPublished = 2*6*MaxFile + 64<<10

// ReadPublished reads the copy in a state folder. The error is fs.ErrNotExist where none was published.
func ReadPublished(stateDir string) (*Published, error) {
	data, err := readUpTo(filepath.Join(stateDir, PublishedFile), maxPublished)
	if err != nil {
		return nil, err
	}
	p := new(Published)
	d := json.NewDecoder(bytes.NewReader(data))
	d.DisallowUnknownFields()
	if err := d.Decode(p); err != nil {
		return nil, fmt.Errorf("is damaged: %w", err)
	}
	if p.Number < 1 || p.Sum != p.sum() {
		return nil, errors.New("is damaged: its sum is another")
	}
	return p, nil
}

// Encode writes what ReadPublished reads.
func (p *Published) Encode() ([]byte, error) {
	out := *p
	out.Sum = out.sum()
	return json.Marshal(&out)
}

// sum is over all but itself. Times count to the microsecond, as the store has them.
func (p *Published) sum() string {
	h := sha256.New()
	for _, text := range []string{strconv.FormatInt(p.Number, 10), strconv.FormatInt(p.Epoch, 10), strconv.FormatInt(p.Time.UnixMicro(), 10), p.Author, p.Kind,
		p.Text, strconv.FormatInt(p.Confirm.UnixMicro(), 10), strconv.FormatInt(p.Back, 10), p.Before} {
		fmt.Fprintf(h, "%d:%s,", len(text), text)
	}
	return hex.EncodeToString(h.Sum(nil))
}

// InForce is the version that counts at a time: the one before, where nobody confirmed in time.
func (p *Published) InForce(now time.Time) (number int64, text string) {
	if !p.Confirm.IsZero() && p.Back > 0 && !now.Before(p.Confirm) {
		return p.Back, p.Before
	}
	return p.Number, p.Text
}

// VersionFile is how problems and traces name the document of a version: "policy-12.toml".
func VersionFile(number int64) string { return "policy-" + strconv.FormatInt(number, 10) + ".toml" }

// LoadVersion reads gatepost.toml as Load does, with the text of a version in place of policy.toml.
func LoadVersion(path string, number int64, text []byte, sections Sections) (*Config, Problems) {
	return load(path, sections, func(*Bootstrap) (string, []byte, Problems) { return VersionFile(number), text, nil })
}

// published is the document of the copy in the state folder; "" where policy.toml counts.
func published(b *Bootstrap) (file string, text []byte, problems Problems) {
	name := filepath.Join(b.StateDir, PublishedFile)
	p, err := ReadPublished(b.StateDir)
	switch {
	case err == nil:
		number, text := p.InForce(time.Now())
		return VersionFile(number), []byte(text), nil
	case errors.Is(err, fs.ErrNotExist):
		return "", nil, nil
	case errors.Is(err, fs.ErrPermission): // somebody else than the daemon's user asks
		return "", nil, Problems{{File: name, Warning: true, Message: "cannot be read, so that policy.toml is used here, whether a version was published or not", Instead: "be root or the daemon's user"}}
	}
	problem := unreadable(name, err)
	if _, ok := errors.AsType[*fs.PathError](err); !ok {
		problem.Message = err.Error()
	}
	problem.Instead = "move it away to start with policy.toml: what was published comes back as soon as the store of the control data can be read"
	return "", nil, Problems{problem}
}

// WithVersion is the same bootstrap with the policy of a version. nil where the problems refuse it.
func (c *Config) WithVersion(number int64, text []byte, sections Sections) (*Config, Problems) {
	out := *c
	out.Policy, out.Where, out.Version = new(Policy), Where{}, true
	out.PolicyPath, out.PolicyVersion, out.PolicyText = VersionFile(number), Version(text), text
	all := Decode(out.PolicyPath, text, out.Policy, policyOptions(sections, out.Where))
	if !all.Refused() {
		all = append(append(all, out.untrusted(out.PolicyPath)...), out.linkless(out.PolicyPath)...)
	}
	if all.Refused() {
		return nil, all
	}
	return &out, all
}

// PolicyBeside is the text of policy.toml beside gatepost.toml, of the path that Load takes; nil where it cannot be read.
func PolicyBeside(path string) []byte {
	text, err := readFile(filepath.Join(filepath.Dir(BootstrapIn(path)), PolicyFile))
	if err != nil {
		return nil
	}
	return text
}
