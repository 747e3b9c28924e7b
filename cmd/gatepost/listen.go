package main

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"gatepost/internal/config"
	"gatepost/internal/systemd"
)

// smtpListener is one socket of a listener of gatepost.toml.
type smtpListener struct {
	name      string
	proxyFrom []netip.Prefix
	net.Listener
}

// metricsName is what FileDescriptorName= says for the listener for monitoring, where no [[listener]] has that name.
const metricsName = "metrics"

// What FileDescriptorName= says for the sockets of the listener public.
const (
	publicHTTPName  = "public-http"
	publicHTTPSName = "public-https"
	portalName      = "portal"
	consoleName     = "console"
	sshName         = "ssh"
)

// listeners are all the sockets of the document.
type listeners struct {
	smtp        []smtpListener
	metrics     net.Listener   // nil where the document wants none
	publicHTTP  []net.Listener // none where it wants none
	publicHTTPS []net.Listener
	portal      []net.Listener
	console     []net.Listener
	ssh         []net.Listener
}

func (l *listeners) close() {
	for _, s := range l.smtp {
		s.Close()
	}
	if l.metrics != nil {
		l.metrics.Close()
	}
	for _, s := range slices.Concat(l.publicHTTP, l.publicHTTPS, l.portal, l.console, l.ssh) {
		s.Close()
	}
}

// listen opens every socket of the document, or none. What systemd brought is taken over: a listener by its name, which
// then is where its socket unit says and nowhere else; a socket without a name by its address.
func listen(b *config.Bootstrap, brought []systemd.Socket) (out listeners, err error) {
	rest := slices.Clone(brought)
	defer func() {
		if err == nil {
			return
		}
		out.close()
		for _, s := range rest {
			s.Close()
		}
	}()
	for _, l := range b.Listeners {
		var taken bool
		if rest, taken = out.takeNamed(rest, &l); taken {
			continue
		}
		if rest, err = out.open(rest, &l, "listener["+l.Name+"].addresses"); err != nil {
			return out, err
		}
	}
	if rest, err = out.openMetrics(rest, b.Web.Metrics); err != nil {
		return out, err
	}
	if rest, out.publicHTTP, err = openPublic(rest, publicHTTPName, "web.public_http", b.Web.PublicHTTP); err != nil {
		return out, err
	}
	if rest, out.publicHTTPS, err = openPublic(rest, publicHTTPSName, "web.public_https", b.Web.PublicHTTPS); err != nil {
		return out, err
	}
	if rest, out.portal, err = openPublic(rest, portalName, "web.portal", b.Web.Portal); err != nil {
		return out, err
	}
	if rest, out.ssh, err = openPublic(rest, sshName, "web.ssh", b.Web.SSH); err != nil {
		return out, err
	}
	if at := b.Web.Console; at.IsValid() {
		if rest, out.console, err = openPublic(rest, consoleName, "web.console", []netip.AddrPort{at}); err != nil {
			return out, err
		}
	}
	if len(rest) > 0 {
		return out, unclaimed(b, rest)
	}
	return out, nil
}

// takeNamed takes every socket that bears the name of a listener.
func (l *listeners) takeNamed(from []systemd.Socket, of *config.Listener) (rest []systemd.Socket, taken bool) {
	for _, s := range from {
		if s.Name != of.Name {
			rest = append(rest, s)
			continue
		}
		l.smtp = append(l.smtp, smtpListener{of.Name, of.ProxyFrom, s.Listener})
		taken = true
	}
	return rest, taken
}

// open opens the addresses of one listener, which the document has under a key, but for those that a socket without a name
// serves.
func (l *listeners) open(from []systemd.Socket, of *config.Listener, key string) (rest []systemd.Socket, err error) {
	rest = from
	var served []systemd.Socket
	for _, a := range of.Addresses {
		if i := slices.IndexFunc(rest, func(s systemd.Socket) bool { return s.Name == "" && s.Serves(a) }); i >= 0 {
			served = append(served, rest[i])
			l.smtp = append(l.smtp, smtpListener{of.Name, of.ProxyFrom, rest[i].Listener})
			rest = slices.Delete(slices.Clone(rest), i, i+1)
			continue
		}
		if slices.ContainsFunc(served, func(s systemd.Socket) bool { return s.Serves(a) }) {
			continue // one socket of both families, for two addresses of the document
		}
		s, err := net.Listen("tcp", a.String())
		if err != nil {
			return rest, fmt.Errorf("%s: %w%s", key, err, hint(err, of.Name, a))
		}
		l.smtp = append(l.smtp, smtpListener{of.Name, of.ProxyFrom, s})
	}
	return rest, nil
}

// openMetrics opens the listener for monitoring, or takes the socket with its name or its address.
func (l *listeners) openMetrics(from []systemd.Socket, at netip.AddrPort) (rest []systemd.Socket, err error) {
	if !at.IsValid() {
		return from, nil
	}
	if i := slices.IndexFunc(from, func(s systemd.Socket) bool { return s.Name == metricsName || s.Name == "" && s.Serves(at) }); i >= 0 {
		l.metrics = from[i].Listener
		return slices.Delete(slices.Clone(from), i, i+1), nil
	}
	if l.metrics, err = net.Listen("tcp", at.String()); err != nil {
		l.metrics = nil
		return from, fmt.Errorf("web.metrics: %w%s", err, hint(err, metricsName, at))
	}
	return from, nil
}

// openPublic opens one half of the listener public where the document wants it: every socket with its name, or else each
// address, but for those that a socket without a name serves. What it opened it returns beside an error too.
func openPublic(from []systemd.Socket, name, key string, at []netip.AddrPort) (rest []systemd.Socket, out []net.Listener, err error) {
	if len(at) == 0 {
		return from, nil, nil
	}
	all := &listeners{}
	of := &config.Listener{Name: name, Addresses: at}
	rest, taken := all.takeNamed(from, of)
	if !taken {
		rest, err = all.open(from, of, key)
	}
	for _, l := range all.smtp {
		out = append(out, l.Listener)
	}
	return rest, out, err
}

// unclaimed says of each socket that nobody wants what to write: clients would connect to it and never be answered.
func unclaimed(b *config.Bootstrap, rest []systemd.Socket) error {
	var names []string
	for _, l := range b.Listeners {
		names = append(names, l.Name)
	}
	if b.Web.Metrics.IsValid() {
		names = append(names, metricsName)
	}
	if len(b.Web.PublicHTTP) > 0 {
		names = append(names, publicHTTPName)
	}
	if len(b.Web.PublicHTTPS) > 0 {
		names = append(names, publicHTTPSName)
	}
	if len(b.Web.Portal) > 0 {
		names = append(names, portalName)
	}
	if b.Web.Console.IsValid() {
		names = append(names, consoleName)
	}
	if len(b.Web.SSH) > 0 {
		names = append(names, sshName)
	}
	var all []error
	for _, s := range rest {
		all = append(all, fmt.Errorf("systemd: no listener is named as the socket %s: write FileDescriptorName= with one of %s into its socket unit, or a [[listener]] with its name into gatepost.toml",
			s.String(), strings.Join(names, ", ")))
	}
	return errors.Join(all...)
}

// hint says what to do about the usual reasons why a socket cannot be opened.
func hint(err error, name string, a netip.AddrPort) string {
	unit := "gatepost.socket"
	if name == publicHTTPName || name == publicHTTPSName || name == portalName || name == consoleName || name == sshName {
		unit = "gatepost-" + name + ".socket" // a unit has one name for all of its sockets
	}
	switch {
	case errors.Is(err, unix.EACCES):
		return fmt.Sprintf("; a port below 1024 needs one of two: AmbientCapabilities=CAP_NET_BIND_SERVICE in gatepost.service, or that systemd opens it: ListenStream=%d and FileDescriptorName=%s in %s", a.Port(), name, unit)
	case errors.Is(err, unix.EADDRINUSE):
		return "; another program listens there: ss -ltnp shows which"
	case errors.Is(err, unix.EADDRNOTAVAIL):
		return "; this machine has no such address: ip addr shows those it has"
	}
	return ""
}
