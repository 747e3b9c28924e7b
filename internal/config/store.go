package config

import (
	"net"
	"net/netip"
	"net/url"
	"slices"
	"strings"
)

// Store is where control data is: in a file of the state folder, or in a PostgreSQL that several nodes share.
type Store struct {
	URL          string `toml:"url" max:"1000" example:"postgres://gatepost@db.example.org/gatepost?sslmode=verify-full" doc:"A PostgreSQL that keeps control data, for several nodes: postgres://user@host/database, with the parameters host, sslmode, sslrootcert, sslcert and sslkey as libpq has them. A password does not stand here. Empty: the file admin.db of the state folder, which will do for one node. Mail does not wait for it and goes on without it."`
	PasswordFile string `toml:"password_file" format:"path" example:"/etc/gatepost/postgres.password" doc:"The file whose first line is the password of the user in url. It is read at the start."`
	Insecure     bool   `toml:"insecure" doc:"A PostgreSQL that is not on this machine may be spoken to in clear, or without looking at its certificate."`
}

// Used reports whether control data is in a PostgreSQL.
func (s *Store) Used() bool { return s.URL != "" }

// storeParameters are those that may stand in the URL. The others of libpq name further files and services, which the sandbox
// does not know, or passwords.
func storeParameters() []string {
	return []string{"host", "port", "sslmode", "sslrootcert", "sslcert", "sslkey", "target_session_attrs"}
}

// Files are those that the URL names.
func (s *Store) Files() (out []string) {
	u, err := url.Parse(s.URL)
	if err != nil {
		return nil
	}
	for _, key := range [...]string{"sslrootcert", "sslcert", "sslkey"} {
		if name := u.Query().Get(key); strings.HasPrefix(name, "/") {
			out = append(out, name)
		}
	}
	return out
}

// Validate checks the URL without ever showing it: somebody may have written a password there.
func (s *Store) Validate(report func(key, message, instead string)) {
	const example = `write for example "postgres://gatepost@db.example.org/gatepost?sslmode=verify-full"`
	if !s.Used() {
		if s.PasswordFile != "" {
			report("password_file", "there is no PostgreSQL without url", example+" as url")
		}
		if s.Insecure {
			report("insecure", "there is no PostgreSQL without url", example+" as url")
		}
		return
	}
	u, err := url.Parse(s.URL)
	if err != nil || u.Scheme != "postgres" && u.Scheme != "postgresql" || strings.Trim(u.Path, "/") == "" || u.User.Username() == "" {
		report("url", "is no postgres://user@host/database", example)
		return
	}
	query := u.Query()
	if _, has := u.User.Password(); has || query.Has("password") {
		report("url", "has a password, which whoever reads this document would read too", "write it to a file, and the file's name as password_file")
		return
	}
	for key := range query {
		if !slices.Contains(storeParameters(), key) {
			report("url", "has a parameter that is not known here", "known are "+strings.Join(storeParameters(), ", "))
			return
		}
	}
	for _, key := range [...]string{"sslrootcert", "sslcert", "sslkey"} {
		if name := query.Get(key); name != "" && !strings.HasPrefix(name, "/") && name != "system" {
			report("url", key+" is no absolute path", "write one that begins with /")
		}
	}
	if s.Insecure {
		return
	}
	for _, host := range storeHosts(u) {
		ip, err := netip.ParseAddr(host)
		if !strings.HasPrefix(host, "/") && host != "localhost" && (err != nil || !ip.IsLoopback()) && query.Get("sslmode") != "verify-full" {
			report("url", "leads beyond this machine, and what is told there could be read and changed on the way", "add sslmode=verify-full; insecure = true allows it as it is")
			return
		}
	}
}

// storeHosts are the hosts and folders of sockets that a URL names; none is a socket of this machine.
func storeHosts(u *url.URL) (out []string) {
	for _, list := range [...]string{u.Host, u.Query().Get("host")} {
		for _, at := range strings.Split(list, ",") {
			host, _, err := net.SplitHostPort(at)
			if err != nil {
				host = strings.Trim(at, "[]")
			}
			if host != "" {
				out = append(out, host)
			}
		}
	}
	return out
}
