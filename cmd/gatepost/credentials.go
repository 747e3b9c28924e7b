package main

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"gatepost/gateway/relay"
	"gatepost/internal/config"
)

// routeProblem makes the problem of a key of a route.
func routeProblem(c *config.Config, r *config.Route, key, message, instead string) config.Problem {
	p := config.Problem{File: c.PolicyPath, Key: "route[" + r.Name + "]." + key, Message: message, Instead: instead}
	where := c.Where["route."+r.Name+"."+key]
	if line, err := strconv.Atoi(where[strings.LastIndexByte(where, ':')+1:]); err == nil {
		p.Line, p.Column = line, 1
	}
	return p
}

// credentials reads what proves to the next hops of a route who we are.
func credentials(c *config.Config, r *config.Route, to *relay.Route) error {
	fault := func(key string, err error, instead string) error {
		return &documentError{routeProblem(c, r, key, err.Error(), instead), err}
	}
	if r.Auth.Used() {
		password, err := readPassword(r.Auth.PasswordFile, slog.New(slog.DiscardHandler)) // warnings are routeWarnings
		if err != nil {
			return fault("auth.password_file", err, "write the path of a file that the user of the daemon can read")
		}
		mechanism := map[string]relay.Mechanism{"scram-sha-256": relay.ScramSHA256, "plain": relay.Plain, "login": relay.Login}[r.Auth.Mechanism]
		to.Auth = &relay.Auth{User: r.Auth.User, Password: relay.Secret(password), Mechanism: mechanism, Key: "route[" + r.Name + "].auth"}
	}
	if r.ClientCert != "" {
		pair, err := tls.LoadX509KeyPair(r.ClientCert, r.ClientKey)
		if err != nil {
			return fault("client_certificate", err, "write the paths of a certificate and its key in PEM, as client_certificate and client_key")
		}
		if err := forClients(pair.Leaf); err != nil {
			return fault("client_certificate", err, "ask the authority for a certificate for TLS clients (clientAuth)")
		}
		to.Certificate = &pair
	}
	return nil
}

// errNotForClients says that a certificate may not be used by a client (RFC 5280 section 4.2.1.12).
var errNotForClients = errors.New("is for other uses than that of a TLS client (its extended key usage lacks clientAuth), so the next hop would refuse it")

// forClients refuses a certificate that says what it is for, and not that a client may show it.
func forClients(leaf *x509.Certificate) error {
	says := len(leaf.ExtKeyUsage)+len(leaf.UnknownExtKeyUsage) > 0
	may := slices.ContainsFunc(leaf.ExtKeyUsage, func(u x509.ExtKeyUsage) bool {
		return u == x509.ExtKeyUsageClientAuth || u == x509.ExtKeyUsageAny
	})
	if says && !may {
		return errNotForClients
	}
	return nil
}

// exposed reports whether everybody on this machine can read a file.
func exposed(name string) bool {
	info, err := os.Stat(name)
	return err == nil && info.Mode().Perm()&0o007 != 0
}

// routeWarnings tells what works, but not well or not for long, of the files that routes name.
func routeWarnings(c *config.Config) (out config.Problems) {
	warn := func(r *config.Route, key, message, instead string) {
		p := routeProblem(c, r, key, message, instead)
		p.Warning = true
		out = append(out, p)
	}
	for i := range c.Policy.Routes {
		r := &c.Policy.Routes[i]
		for _, f := range [...]struct{ key, name string }{{"auth.password_file", r.Auth.PasswordFile}, {"client_key", r.ClientKey}} {
			if exposed(f.name) {
				warn(r, f.key, f.name+" can be read by everybody on this machine", "chmod o= "+f.name)
			}
		}
		if r.ClientCert == "" {
			continue
		}
		pair, err := tls.LoadX509KeyPair(r.ClientCert, r.ClientKey)
		if err != nil {
			continue // that is no warning
		}
		if now := time.Now(); now.After(pair.Leaf.NotAfter) {
			warn(r, "client_certificate", fmt.Sprintf("expired on %s", pair.Leaf.NotAfter.Format(time.DateOnly)), "renew it; next hops that look will refuse it")
		}
	}
	return out
}

// tellRoutes logs the warnings of routes.
func (d *daemon) tellRoutes(c *config.Config) {
	for _, p := range routeWarnings(c) {
		d.log.Warn("route: " + p.String())
	}
}
