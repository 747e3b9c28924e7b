package network

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

const static = "interfaces: [{name: eth0, addresses: [192.0.2.7/24], routes: [{to: default, via: 192.0.2.1}]}]\n"

// asked has a helper answer one question; over is closed when its process would end.
func asked(t *testing.T, h *Helper, question string) (a answer, over chan struct{}) {
	t.Helper()
	ours, theirs := net.Pipe()
	over = make(chan struct{})
	go func() {
		defer close(over)
		if err := h.Serve(t.Context(), theirs); err != nil {
			t.Logf("the journal: %v", err)
		}
	}()
	if _, err := io.WriteString(ours, question+"\n"); err != nil {
		t.Fatal(err)
	}
	text, err := io.ReadAll(ours)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(text, &a); err != nil {
		t.Fatalf("%v: %q", err, text)
	}
	return a, over
}

func question(t *testing.T, q Question) string {
	t.Helper()
	text, err := json.Marshal(q)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// helper is one of a machine of plain files; told gathers who had to read again.
func helper(t *testing.T) (h *Helper, told *[]string) {
	told = new([]string)
	h = &Helper{Machine: machine(t), Log: t.Logf, Reload: func(before, now *Settings) error {
		*told = append(*told, strings.Join(Changed(before, now), " "))
		return nil
	}}
	h.Machine.Blocks = ""
	if err := h.Machine.Apply(h.Machine.Load()); err != nil {
		t.Fatal(err)
	}
	return h, told
}

// inForce reports whether the static address is, in the files that systemd-networkd reads and at the next start.
func inForce(t *testing.T, m *Machine) (now, next bool) {
	t.Helper()
	_, err := os.Stat(filepath.Join(m.Run, "systemd/network/50-gatepost-00.network"))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		t.Fatal(err)
	}
	return err == nil, len(m.Load().Settings.Interfaces) > 0
}

// TestTrial shows that other addresses come back by themselves, at their time or by a power cut, unless somebody confirms them.
func TestTrial(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h, told := helper(t)
		m := h.Machine
		set := question(t, Question{Do: DoSet, Text: static, Within: time.Minute})
		expect := func(when string, now, next bool) {
			t.Helper()
			if is, will := inForce(t, m); is != now || will != next {
				t.Errorf("%s: in force now %t, at the next start %t", when, is, will)
			}
		}
		a, over := asked(t, h, set)
		if a.Error != "" || time.Until(a.Found.Until) > time.Minute || time.Until(a.Found.Until) < 58*time.Second {
			t.Fatalf("%+v", a)
		}
		expect("on trial", true, false)
		if a, looked := asked(t, h, question(t, Question{Do: DoStatus})); a.Error != "" || a.Found.Until.IsZero() {
			t.Errorf("whoever looks sees no trial: %+v", a)
		} else {
			<-looked // and waits for nothing
			expect("looked at", true, false)
		}
		if a, _ := asked(t, h, set); !strings.Contains(a.Error, "are on trial") {
			t.Errorf("a second one: %+v", a)
		}
		began := time.Now()
		<-over
		if took := time.Since(began); took < 55*time.Second || took > time.Minute {
			t.Errorf("it came back after %s", took)
		}
		expect("not confirmed", false, false)
		if f, err := State(m.Run); err != nil || !f.Until.IsZero() || !strings.Contains(strings.Join(f.Trouble, ""), "not confirmed in time") {
			t.Errorf("%+v, %v", f, err)
		}
		if a, _ := asked(t, h, question(t, Question{Do: DoConfirm})); !strings.Contains(a.Error, "no settings are on trial") {
			t.Errorf("too late: %+v", a)
		}

		_, over = asked(t, h, set)
		time.Sleep(10 * time.Second)
		a, confirmed := asked(t, h, question(t, Question{Do: DoConfirm}))
		if a.Error != "" || !a.Found.Until.IsZero() || !strings.Contains(a.Found.Saved, "192.0.2.7/24") {
			t.Errorf("confirmed: %+v", a)
		}
		<-over
		<-confirmed
		expect("confirmed", true, true)
		if got := strings.Join(*told, ", "); got != "interfaces, interfaces, interfaces, " {
			t.Errorf("told %q", got)
		}

		h.Reload = func(*Settings, *Settings) error { return errors.New("networkctl: it does not answer") }
		_, over = asked(t, h, question(t, Question{Do: DoSet, Text: "interfaces: [{name: eth0, dhcp: yes}]", Within: time.Minute}))
		<-over
		if f := m.Load(); f.Settings.Interfaces[0].DHCP == DHCPYes {
			t.Error("what systemd-networkd never read is kept")
		}
		expect("nobody read it", true, true)
	})
}

// TestTrialEnds shows that a helper that is ended with its machine leaves the next start as it was.
func TestTrialEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h, _ := helper(t)
		ours, theirs := net.Pipe()
		ctx, stop := context.WithCancel(t.Context())
		over := make(chan error)
		go func() { over <- h.Serve(ctx, theirs) }()
		go func() {
			_, _ = io.WriteString(ours, question(t, Question{Do: DoSet, Text: static, Within: time.Minute}))
		}()
		if _, err := io.ReadAll(ours); err != nil {
			t.Fatal(err)
		}
		stop()
		if err := <-over; err != nil {
			t.Error(err)
		}
		if f := h.Machine.Load(); len(f.Settings.Interfaces) > 0 {
			t.Errorf("%+v", f)
		}
	})
}

// TestSavedAtOnce shows that what cuts nobody off needs no trial, and that a name changes nothing else.
func TestSavedAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h, told := helper(t)
		a, over := asked(t, h, question(t, Question{Do: DoSet, Text: "dns: [192.0.2.53]\nntp: [192.0.2.123]\n", Within: time.Minute}))
		if a.Error != "" || !a.Found.Until.IsZero() {
			t.Fatalf("%+v", a)
		}
		<-over
		a, over = asked(t, h, question(t, Question{Do: DoName, Text: "MX.example.org"}))
		if a.Error != "" || a.Found.Settings.Hostname != "mx.example.org" || len(a.Found.Settings.DNS) != 1 || !strings.Contains(a.Found.Saved, "hostname: mx.example.org\ndns:") {
			t.Errorf("%+v", a)
		}
		<-over
		if name, err := os.ReadFile(h.Machine.Kernel); err != nil || string(name) != "mx.example.org" {
			t.Errorf("%q, %v", name, err)
		}
		if got := strings.Join(*told, ", "); got != "dns ntp, hostname" {
			t.Errorf("told %q", got)
		}
		for q, want := range map[string]string{
			"nonsense":                          "the question: ",
			`{"do":"status"`:                    "the question: ",
			`{"do":"reboot"}`:                   "\"reboot\" is nothing that can be asked for",
			`{"do":"name","text":"mx"}`:         "settings: hostname: \"mx\" is not fully qualified; write",
			`{"do":"set","text":"dns: x"}`:      "settings:1: dns: \"x\"",
			`{"do":"set","text":"","within":1}`: "a trial takes between 30s and 10m0s",
			`{"do":"set","text":"` + strings.Repeat("#", 3*MaxFile): "the question: ",
		} {
			ours, theirs := net.Pipe()
			go func() { _, _ = io.WriteString(ours, q); ours.Close() }()
			err := h.Serve(t.Context(), theirs)
			if err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("%.60s: %v; want %q", q, err, want)
			}
		}
	})
}
