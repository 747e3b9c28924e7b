package network

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"time"

	"gatepost/appliance/network/volume"
	"gatepost/internal/durable"
)

// Where settings come from, the first before the second. Of each part (name, servers for names, servers for the time, interfaces) the first
// that says something of it counts.
const (
	FromOperator   = "operator"
	FromKernel     = "kernel line"
	FromCredential = "credential"
	FromVolume     = "volume" // of NoCloud
	FromDefault    = "default"
)

// Credential is the name of the credential of systemd that holds settings, in the form of Read.
const Credential = "gatepost.network"

// volumeLabel is that of a volume of NoCloud, in any case.
const volumeLabel = "cidata"

// Files of the folder of settings.
const (
	operatorFile = "settings.yaml" // what an operator saved
	volumeFile   = "volume.yaml"   // what the volume said when it was read, once
)

// Files that tell others how it stands, in the folder gatepost-network of Run.
const (
	stateFile   = "gatepost-network/state.json"
	troubleFile = "gatepost-network/trouble"
)

// maxTrouble is how much trouble is told, in lines.
const maxTrouble = 8

// Machine is where everything is. The zero value of a field leaves that source out.
type Machine struct {
	State       string // folder that root alone may write: /var/lib/appliance/network
	Run         string // /run
	Cmdline     string // /proc/cmdline
	Credentials string // folder of the unit's credentials
	Blocks      string // /sys/class/block
	Nodes       string // /dev
	Kernel      string // where the kernel's host name is written: /proc/sys/kernel/hostname
	Settle      func() // waits until the kernel's devices have their nodes; nil: they have
}

// Found is what counts, and why.
type Found struct {
	Settings Settings          `json:"settings"`
	From     map[string]string `json:"from"`            // hostname, dns, ntp and interfaces: where it is from
	Trouble  []string          `json:"trouble"`         // what could not be used, a line each
	Saved    string            `json:"saved"`           // what an operator saved, as Text writes it; of a trial what was before it
	Until    time.Time         `json:"until"`           // when a trial ends, and all is as before; zero: there is none
	Ports    []Port            `json:"ports,omitempty"` // of an answer of the helper
}

// Port is an interface of the machine, as it is now.
type Port struct {
	Name      string         `json:"name"`
	MAC       string         `json:"mac,omitempty"`
	Up        bool           `json:"up"`
	Addresses []netip.Prefix `json:"addresses"`
}

// Load reads all sources. What cannot be used is told in Trouble, and the next source counts in its place: that there is no settings at all is
// no error, DHCP is the default.
func (m *Machine) Load() *Found {
	return m.load(func(string) (*Settings, error) { return m.saved(operatorFile) })
}

// load is Load with what an operator wants from elsewhere.
func (m *Machine) load(operator func(string) (*Settings, error)) *Found {
	f := &Found{From: map[string]string{}, Trouble: []string{}}
	for _, part := range []string{"hostname", "dns", "ntp", "interfaces"} {
		f.From[part] = FromDefault
	}
	f.take(FromOperator, operator, "")
	if s, err := m.saved(operatorFile); err == nil && s != nil {
		text, _ := s.Text() // it was read as such
		f.Saved = string(text)
	}
	f.take(FromKernel, m.kernel, "")
	f.take(FromCredential, m.credential, "")
	f.take(FromVolume, m.saved, volumeFile)
	if m.State != "" && m.Blocks != "" {
		if _, err := os.Lstat(filepath.Join(m.State, volumeFile)); errors.Is(err, fs.ErrNotExist) {
			m.fromVolume(f)
		}
	}
	f.Trouble = f.Trouble[:min(len(f.Trouble), maxTrouble)]
	return f
}

// take reads one source and merges it.
func (f *Found) take(from string, read func(name string) (*Settings, error), name string) {
	s, err := read(name)
	if err != nil {
		f.trouble(err)
	}
	f.merge(from, s)
}

func (f *Found) trouble(err error) {
	f.Trouble = append(f.Trouble, strings.Split(err.Error(), "\n")...)
}

// merge takes of a source what no source before it says.
func (f *Found) merge(from string, s *Settings) {
	if s == nil {
		return
	}
	have := &f.Settings
	if have.Hostname == "" && s.Hostname != "" {
		have.Hostname, f.From["hostname"] = s.Hostname, from
	}
	if len(have.DNS) == 0 && len(s.DNS) > 0 {
		have.DNS, f.From["dns"] = s.DNS, from
	}
	if len(have.NTP) == 0 && len(s.NTP) > 0 {
		have.NTP, f.From["ntp"] = s.NTP, from
	}
	if len(have.Interfaces) == 0 && len(s.Interfaces) > 0 {
		have.Interfaces, f.From["interfaces"] = s.Interfaces, from
	}
}

// saved reads a file of the folder of settings; nil where there is none.
func (m *Machine) saved(name string) (*Settings, error) {
	if m.State == "" {
		return nil, nil
	}
	text, err := short(filepath.Join(m.State, name), MaxFile)
	if text == nil || err != nil {
		return nil, err
	}
	return Read(name, text)
}

func (m *Machine) kernel(string) (*Settings, error) {
	if m.Cmdline == "" {
		return nil, nil
	}
	text, err := short(m.Cmdline, maxLine)
	if text == nil || err != nil {
		return nil, err
	}
	return ReadKernel("kernel line", string(text))
}

func (m *Machine) credential(string) (*Settings, error) {
	if m.Credentials == "" {
		return nil, nil
	}
	text, err := short(filepath.Join(m.Credentials, Credential), MaxFile)
	if text == nil || err != nil {
		return nil, err
	}
	return Read("credential "+Credential, text)
}

// fromVolume reads a volume of NoCloud, and keeps what it says: it is read once. One whose network-config has a fault is read again at the next start.
func (m *Machine) fromVolume(f *Found) {
	if m.Settle != nil {
		m.Settle()
	}
	v, err := volume.Find(m.Blocks, m.Nodes, volumeLabel, []string{"meta-data", "network-config"}, MaxFile)
	if err != nil {
		f.trouble(fmt.Errorf("volume %s: %w", volumeLabel, err))
	}
	if v == nil {
		return
	}
	s, notes, cloudErr := ReadCloud("network-config", v.Files["network-config"])
	if cloudErr != nil {
		f.trouble(cloudErr)
		s = new(Settings)
	}
	f.Trouble = append(f.Trouble, notes...)
	host, _, metaErr := ReadMetaData("meta-data", v.Files["meta-data"])
	if metaErr != nil {
		f.trouble(metaErr)
	}
	s.Hostname = host
	f.merge(FromVolume, s)
	if cloudErr == nil { // a name that cannot be used is told, and no reason to lose the addresses with the volume
		text, err := s.Text()
		if err == nil {
			err = durable.WriteFile(filepath.Join(m.State, volumeFile), text, 0o600)
		}
		if err != nil {
			f.trouble(fmt.Errorf("volume %s: what it says could not be kept, and is read again at the next start: %w", volumeLabel, err))
		}
	}
}

// short reads a file of at most most octets; nil where there is none.
func short(name string, most int64) ([]byte, error) {
	f, err := os.Open(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, most+1))
	if err == nil && int64(len(text)) > most {
		err = fmt.Errorf("%s: it is larger than %d octets", filepath.Base(name), most)
	}
	return text, err
}
