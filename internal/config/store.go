package config

import (
	"cmp"
	"net"
	"net/netip"
	"net/url"
	"slices"
	"strings"
)

// Store is where control data and the message log are: in files of the state folder, or in a PostgreSQL that several nodes share.
type Store struct {
	URL             string `toml:"url" max:"1000" example:"postgres://gatepost@db.example.org/gatepost?sslmode=verify-full" doc:"A PostgreSQL that keeps control data, for several nodes: postgres://user@host/database, with the parameters host, sslmode, sslrootcert, sslcert and sslkey as libpq has them. A password does not stand here. Empty: the file admin.db of the state folder, which will do for one node. Mail does not wait for it and goes on without it."`
	PasswordFile    string `toml:"password_file" format:"path" example:"/etc/gatepost/postgres.password" doc:"The file whose first line is the password of the user in url. It is read at the start."`
	Log             string `toml:"log" max:"1000" example:"postgres://gatepost@db.example.org/gatepost?sslmode=verify-full" doc:"A PostgreSQL that keeps the message log, for several nodes, written as url is; it may be the same database. Empty: a file a day in the state folder. Mail does not wait for it: events wait in memory while it is away, and are counted once there is no room."`
	LogPasswordFile string `toml:"log_password_file" format:"path" example:"/etc/gatepost/postgres-log.password" doc:"The file whose first line is the password of the user in log. Empty: that of password_file."`
	Quarantine      bool   `toml:"quarantine" doc:"Nodes show each other in the PostgreSQL of url which mail they keep in quarantine, so that each lists that of all. The mail itself stays with its node, and mail waits for no server."`
	Node            string `toml:"node" format:"word" max:"64" example:"mx1" doc:"The name of this node among those that share control data or a message log: of nodes, of mail in quarantine, alarms, the audit log and each event. Nodes need different ones. Empty: hostname."`
	Insecure        bool   `toml:"insecure" doc:"A PostgreSQL that is not on this machine may be spoken to in clear, or without looking at its certificate."`
}

// Used reports whether control data is in a PostgreSQL.
func (s *Store) Used() bool { return s.URL != "" }

// NodeName is the name of this node among those that share something with it.
func (b *Bootstrap) NodeName() string { return cmp.Or(b.Store.Node, b.Hostname) }

// storeParameters are those that may stand in the URL. The others of libpq name further files and services, which the sandbox
// does not know, or passwords.
func storeParameters() []string {
	return []string{"host", "port", "sslmode", "sslrootcert", "sslcert", "sslkey", "target_session_attrs"}
}

// Files are those that the URLs name, and those of passwords.
func (s *Store) Files() (out []string) {
	for _, name := range [...]string{s.PasswordFile, s.LogPasswordFile} {
		if name != "" {
			out = append(out, name)
		}
	}
	for _, text := range [...]string{s.URL, s.Log} {
		u, err := url.Parse(text)
		if err != nil {
			continue
		}
		for _, key := range [...]string{"sslrootcert", "sslcert", "sslkey"} {
			if name := u.Query().Get(key); strings.HasPrefix(name, "/") {
				out = append(out, name)
			}
		}
	}
	return out
}

// Validate checks the URLs without ever showing them: somebody may have written a password there.
func (s *Store) Validate(report func(key, message, instead string)) {
	if !s.Used() && s.Log == "" && s.Insecure {
		report("insecure", "there is no PostgreSQL without url", storeExample+" as url")
	}
	if s.Used() {
		s.place("url", "password_file", s.URL, report)
	} else if s.PasswordFile != "" && s.Log == "" {
		report("password_file", "there is no PostgreSQL without url", storeExample+" as url")
	}
	if s.Quarantine && !s.Used() {
		report("quarantine", "there is no PostgreSQL without url", storeExample+" as url")
	}
	if s.Log != "" {
		s.place("log", "log_password_file", s.Log, report)
		return
	}
	if s.LogPasswordFile != "" {
		report("log_password_file", "there is no PostgreSQL without log", storeExample+" as log")
	}
	if s.Node != "" && !s.Used() {
		report("node", "no nodes share anything without url or log", storeExample+" as url or log")
	}
}

const storeExample = `write for example "postgres://gatepost@db.example.org/gatepost?sslmode=verify-full"`

// place checks one URL.
func (s *Store) place(at, password, text string, report func(key, message, instead string)) {
	u, err := url.Parse(text)
	if err != nil || u.Scheme != "postgres" && u.Scheme != "postgresql" || strings.Trim(u.Path, "/") == "" || u.User.Username() == "" {
		report(at, "is no postgres://user@host/database", storeExample)
		return
	}
	query := u.Query()
	if _, has := u.User.Password(); has || query.Has("password") {
		report(at, "has a password, which whoever reads this document would read too", "write it to a file, and the file's name as "+password)
		return
	}
	for key := range query {
		if !slices.Contains(storeParameters(), key) {
			report(at, "has a parameter that is not known here", "known are "+strings.Join(storeParameters(), ", "))
			return
		}
	}
	for _, key := range [...]string{"sslrootcert", "sslcert", "sslkey"} {
		if name := query.Get(key); name != "" && !strings.HasPrefix(name, "/") && name != "system" {
			report(at, key+" is no absolute path", "write one that begins with /")
		}
	}
	if s.Insecure {
		return
	}
	for _, named := range storeHosts(u) {
		host := named.host
		ip, err := netip.ParseAddr(host)
		if !strings.HasPrefix(host, "/") && host != "localhost" && (err != nil || !ip.IsLoopback()) && query.Get("sslmode") != "verify-full" {
			report(at, "leads beyond this machine, and what is told there could be read and changed on the way", "add sslmode=verify-full; insecure = true allows it as it is")
			return
		}
	}
}

// storeHost is a host, or the folder of a socket, with its port.
type storeHost struct{ host, port string }

// storeHosts are the hosts and folders of sockets that a URL names; none is a socket of this machine. A port that is not written is 5432.
func storeHosts(u *url.URL) (out []storeHost) {
	usual := cmp.Or(u.Query().Get("port"), "5432")
	for _, list := range [...]string{u.Host, u.Query().Get("host")} {
		for _, at := range strings.Split(list, ",") {
			host, port, err := net.SplitHostPort(at)
			if err != nil {
				host, port = strings.Trim(at, "[]"), usual
			}
			if host != "" {
				out = append(out, storeHost{host, port})
			}
		}
	}
	return out
}

// Servers are the servers that the URLs name, as host:port; a port that is not written is 5432. Sockets of this machine are none.
func (s *Store) Servers() (out []string) {
	for _, text := range [...]string{s.URL, s.Log} {
		u, err := url.Parse(text)
		if err != nil || text == "" {
			continue
		}
		for _, at := range storeHosts(u) {
			if !strings.HasPrefix(at.host, "/") {
				out = append(out, net.JoinHostPort(at.host, at.port))
			}
		}
	}
	return out
}
