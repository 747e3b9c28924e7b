package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"gatepost/internal/config"
)

// errLocked says that another process owns the state folder.
var errLocked = errors.New("state folder: another gatepost runs with it")

// lockState makes the state folder and takes it: one process owns it, and the lock goes with the process.
func lockState(dir string) (*os.File, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("state folder: %w", err)
	}
	name := filepath.Join(dir, "lock")
	f, err := os.OpenFile(name, os.O_RDWR|os.O_CREATE|unix.O_CLOEXEC, 0o600)
	if err != nil {
		return nil, fmt.Errorf("state folder: %w", err)
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		text, _ := os.ReadFile(name)
		f.Close()
		if errors.Is(err, unix.EWOULDBLOCK) {
			return nil, fmt.Errorf("%w: process %s, folder %s", errLocked, strings.TrimSpace(string(text)), dir)
		}
		return nil, fmt.Errorf("state folder: lock: %w", err)
	}
	if err = f.Truncate(0); err == nil {
		_, err = f.WriteAt([]byte(strconv.Itoa(os.Getpid())+"\n"), 0)
	}
	if err != nil {
		f.Close()
		return nil, fmt.Errorf("state folder: %w", err)
	}
	return f, nil
}

// smtpListener is one socket of a listener of gatepost.toml.
type smtpListener struct {
	name      string
	proxyFrom []netip.Prefix
	net.Listener
}

// listen opens every socket of the document, or none.
func listen(b *config.Bootstrap) (all []smtpListener, metrics net.Listener, err error) {
	defer func() {
		if err == nil {
			return
		}
		for _, l := range all {
			l.Close()
		}
	}()
	for _, l := range b.Listeners {
		for _, a := range l.Addresses {
			s, err := net.Listen("tcp", a.String())
			if err != nil {
				return all, nil, fmt.Errorf("listener[%s].addresses: %w%s", l.Name, err, hint(err))
			}
			all = append(all, smtpListener{l.Name, l.ProxyFrom, s})
		}
	}
	if b.Web.Metrics.IsValid() {
		if metrics, err = net.Listen("tcp", b.Web.Metrics.String()); err != nil {
			return all, nil, fmt.Errorf("web.metrics: %w%s", err, hint(err))
		}
	}
	return all, metrics, nil
}

// hint says what to do about the usual reasons why a socket cannot be opened.
func hint(err error) string {
	switch {
	case errors.Is(err, unix.EACCES):
		return "; ports below 1024 need root or CAP_NET_BIND_SERVICE"
	case errors.Is(err, unix.EADDRINUSE):
		return "; another program listens there: ss -ltnp shows which"
	case errors.Is(err, unix.EADDRNOTAVAIL):
		return "; this machine has no such address: ip addr shows those it has"
	}
	return ""
}

// addresses are where the daemon really listens, since a port may be left to the system.
type addresses struct {
	Listeners map[string]string `json:"listeners"`
	Metrics   string            `json:"metrics,omitempty"`
}

func addressesOf(all []smtpListener, metrics net.Listener) addresses {
	a := addresses{Listeners: map[string]string{}}
	for _, l := range all {
		key := l.name
		for n := 2; a.Listeners[key] != ""; n++ {
			key = l.name + "-" + strconv.Itoa(n)
		}
		a.Listeners[key] = l.Addr().String()
	}
	if metrics != nil {
		a.Metrics = metrics.Addr().String()
	}
	return a
}

// write leaves the addresses in the state folder, for scripts. The file is whole or not there.
func (a addresses) write(dir string) error {
	text, err := json.Marshal(a)
	if err != nil {
		return err
	}
	name := filepath.Join(dir, "addresses.json")
	if err := os.WriteFile(name+".new", append(text, '\n'), 0o600); err != nil {
		return fmt.Errorf("state folder: %w", err)
	}
	if err := os.Rename(name+".new", name); err != nil {
		return fmt.Errorf("state folder: %w", err)
	}
	return nil
}
