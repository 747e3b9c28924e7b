package network

import (
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

func put(t *testing.T, name, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(name, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

// machine is one of plain files.
func machine(t *testing.T) *Machine {
	t.Helper()
	dir := t.TempDir()
	m := &Machine{State: filepath.Join(dir, "state"), Run: filepath.Join(dir, "run"), Cmdline: filepath.Join(dir, "cmdline"), Credentials: filepath.Join(dir, "credentials"),
		Blocks: filepath.Join(dir, "blocks"), Nodes: filepath.Join(dir, "dev"), Kernel: filepath.Join(dir, "hostname")}
	for _, d := range []string{m.State, m.Blocks, m.Nodes} {
		if err := os.MkdirAll(d, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	put(t, m.Kernel, "gatepost")
	return m
}

// insert puts a volume with files into a machine.
func insert(t *testing.T, m *Machine, files map[string]string) {
	t.Helper()
	node := filepath.Join(m.Nodes, "sr0")
	if err := os.RemoveAll(node); err != nil {
		t.Fatal(err)
	}
	args := []string{"-quiet", "-output", node, "-volid", "CIDATA", "-joliet", "-rock"}
	for name, text := range files {
		file := filepath.Join(t.TempDir(), name)
		put(t, file, text)
		args = append(args, file)
	}
	if out, err := exec.CommandContext(t.Context(), "genisoimage", args...).CombinedOutput(); err != nil {
		t.Fatalf("genisoimage: %v (scripts/install installs it)\n%s", err, out)
	}
	put(t, filepath.Join(m.Blocks, "sr0"), "")
	put(t, filepath.Join(m.Blocks, "vda"), "") // without a node
}

// TestSources shows which source counts for what.
func TestSources(t *testing.T) {
	m := machine(t)
	look := func(want string) *Found {
		t.Helper()
		f := m.Load()
		got := f.Settings.Hostname + " " + f.From["hostname"] + ", " + f.From["dns"] + ", " + f.From["ntp"] + ", " + f.From["interfaces"]
		if got != want || len(f.Trouble) > 0 {
			t.Errorf("%s %q; want %s", got, f.Trouble, want)
		}
		return f
	}
	look(" default, default, default, default")
	insert(t, m, map[string]string{"meta-data": "local-hostname: volume.example.org", "network-config": "version: 2\nethernets: {eth0: {addresses: [192.0.2.7/24], nameservers: {addresses: [192.0.2.53]}}}"})
	look("volume.example.org volume, volume, default, volume")
	if err := os.Remove(filepath.Join(m.Nodes, "sr0")); err != nil {
		t.Fatal(err)
	}
	look("volume.example.org volume, volume, default, volume") // it was kept
	put(t, filepath.Join(m.Credentials, Credential), "hostname: credential.example.org\nntp: [192.0.2.123]\n")
	look("credential.example.org credential, volume, credential, volume")
	put(t, m.Cmdline, "quiet systemd.hostname=kernel.example.org ip=dhcp\n")
	look("kernel.example.org kernel line, volume, credential, kernel line")
	put(t, filepath.Join(m.State, operatorFile), "hostname: operator.example.org\ninterfaces: [{dhcp: ipv4}]\n")
	f := look("operator.example.org operator, volume, credential, operator")
	if err := m.Apply(f); err != nil {
		t.Fatal(err)
	}
	if name, err := os.ReadFile(m.Kernel); err != nil || string(name) != "operator.example.org" {
		t.Errorf("%q, %v", name, err)
	}
	if told, err := State(m.Run); err != nil || told.Settings.Hostname != "operator.example.org" || told.From["dns"] != FromVolume {
		t.Errorf("%+v, %v", told, err)
	}
}

// TestBroken shows that a source that cannot be used costs nothing but itself: it is told why, DHCP stays, and what an earlier start wrote
// is taken away.
func TestBroken(t *testing.T) {
	m := machine(t)
	if _, err := State(m.Run); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("%v", err)
	}
	put(t, filepath.Join(m.State, operatorFile), "dns: [192.0.2.53]\nntp: [192.0.2.123]\ninterfaces: [{name: eth0, addresses: [192.0.2.7/24]}]")
	if err := m.Apply(m.Load()); err != nil {
		t.Fatal(err)
	}
	if got := listed(t, m.Run); got != "gatepost-network/chrony/gatepost.sources gatepost-network/state.json gatepost-network/trouble gatepost-network/unbound.conf systemd/network/50-gatepost-00.network" {
		t.Error(got)
	}
	put(t, filepath.Join(m.State, operatorFile), "interfaces: [{name: eth0, addresses: [192.0.2.7]}]")
	put(t, m.Cmdline, "ip=nonsense")
	put(t, filepath.Join(m.Credentials, Credential), "\x00")
	insert(t, m, map[string]string{"meta-data": "local-hostname: mx.example.org", "network-config": "version: 2\nethernets: [a"})
	f := m.Load()
	if err := m.Apply(f); err != nil {
		t.Fatal(err)
	}
	if got := listed(t, m.Run); got != "gatepost-network/state.json gatepost-network/trouble gatepost-network/unbound.conf" {
		t.Error(got)
	}
	told, err := os.ReadFile(filepath.Join(m.Run, troubleFile))
	for _, want := range []string{"settings.yaml:1: interfaces[0].addresses[0]: \"192.0.2.7\" is none", "kernel line: ip: \"nonsense\"", "credential gatepost.network: ", "network-config: line"} {
		if err != nil || !strings.Contains(string(told), want) {
			t.Errorf("no %q in %s %v", want, told, err)
		}
	}
	if f.Settings.Hostname != "mx.example.org" { // what could be read of the volume
		t.Errorf("%+v", f.Settings)
	}
	if _, err := os.Stat(filepath.Join(m.State, volumeFile)); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a volume with a fault is not read again: %v", err)
	}
	insert(t, m, map[string]string{"meta-data": "local-hostname: mx", "network-config": "version: 2\nvlans: {x: {}}\nethernets: {eth0: {dhcp4: true}}"})
	put(t, m.Cmdline, "")
	if f := m.Load(); f.From["interfaces"] != FromVolume || !strings.Contains(strings.Join(f.Trouble, "\n"), "network-config:2: vlans is left out") || !strings.Contains(strings.Join(f.Trouble, "\n"), "meta-data:1: local-hostname: ") {
		t.Errorf("%+v", f)
	}
	if err := os.Remove(filepath.Join(m.Nodes, "sr0")); err != nil {
		t.Fatal(err)
	}
	if f := m.Load(); f.From["interfaces"] != FromVolume {
		t.Errorf("a name that cannot be used took the addresses away with the volume: %+v", f)
	}
}

// listed are the files below a folder.
func listed(t *testing.T, dir string) string {
	t.Helper()
	var out []string
	err := filepath.WalkDir(dir, func(name string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			rel, _ := filepath.Rel(dir, name)
			out = append(out, rel)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return strings.Join(out, " ")
}
