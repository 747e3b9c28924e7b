package main

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestMake makes keys and bundles from files, signed here and by minisign, and shows what is refused.
func TestMake(t *testing.T) {
	dir := t.TempDir()
	at := func(name string) string { return filepath.Join(dir, name) }
	hash := strings.Repeat("0b", 32)
	for name, text := range map[string]string{"root": "root", "uki": "MZ gatepost.version=1.4.2 gatepost.roothash=" + hash, "other": "MZ gatepost.version=1.4.1 gatepost.roothash=" + hash,
		"longer": "MZ gatepost.version=1.4.20 gatepost.roothash=" + hash, "later": "MZ gatepost.version=1.4.2.1 gatepost.roothash=" + hash} {
		if err := os.WriteFile(at(name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	do := func(args ...string) (string, error) {
		var out bytes.Buffer
		err := run(&out, args)
		return out.String(), err
	}
	must := func(args ...string) string {
		t.Helper()
		out, err := do(args...)
		if err != nil {
			t.Fatal(err)
		}
		return out
	}
	options := []string{"--version", "1.4.2", "--from", "1.0.0", "--root-hash", hash, "--root", at("root"), "--uki", at("uki")}
	with := func(verb string, more ...string) []string { return append(append([]string{verb}, options...), more...) }

	must("key", at("current"))
	if _, err := do("key", at("current")); err == nil {
		t.Error("a key is replaced")
	}
	for have, other := range map[string]string{"one.key": "one.pub", "two.pub": "two.key"} {
		if err := os.WriteFile(at(have), nil, 0o600); err != nil {
			t.Fatal(err)
		}
		for range 8 {
			if _, err := do("key", at(have[:3])); err == nil {
				t.Errorf("%s is replaced", have)
			}
			if _, err := os.Stat(at(other)); !os.IsNotExist(err) {
				t.Fatalf("beside %s there is half of another pair: %v", have, err)
			}
		}
	}
	must(with("write", "--key", at("current.key"), "--out", at("a.gpu"))...)
	if out := must("show", "--pub", at("current.pub"), at("a.gpu")); !strings.Contains(out, hash) {
		t.Error(out)
	}

	must(with("head", "--out", at("head"))...)
	if out, err := exec.Command("minisign", "-Sm", at("head"), "-s", at("current.key"), "-W").CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	must(with("write", "--signature", at("head.minisig"), "--pub", at("current.pub"), "--out", at("b.gpu"))...)
	must("show", "--pub", at("current.pub"), at("b.gpu"))

	must("key", at("next"))
	for want, args := range map[string][]string{
		"not trusted here":                         {"show", "--pub", at("next.pub"), at("a.gpu")},
		"is by a key":                              with("write", "--signature", at("head.minisig"), "--pub", at("next.pub"), "--out", at("c.gpu")),
		"no gatepost.version=1.4.2":                with("write", "--uki", at("other"), "--key", at("current.key"), "--out", at("c.gpu")),
		"version: \"1\" is no version":             with("write", "--version", "1", "--uki", at("uki"), "--key", at("current.key"), "--out", at("c.gpu")),
		"that is no secret key":                    with("write", "--key", at("current.pub"), "--out", at("c.gpu")),
		"that is not how it is used":               {"sign"},
		"flag provided but not defined: -password": {"write", "--password", "x"},
		"say what to do":                           {},
	} {
		if out, err := do(args...); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q, %v; want %s", out, err, want)
		}
	}
	for _, uki := range []string{"longer", "later"} {
		if _, err := do(with("write", "--uki", at(uki), "--key", at("current.key"), "--out", at("c.gpu"))...); err == nil || !strings.Contains(err.Error(), "no gatepost.version=1.4.2") {
			t.Errorf("a kernel whose version begins with that of the bundle (%s): %v", uki, err)
		}
	}
	if _, err := os.Stat(at("c.gpu")); err == nil {
		t.Error("a bundle that was refused is there")
	}
}
