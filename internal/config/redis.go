package config

import (
	"net"
	"net/netip"
	"strconv"
	"strings"
	"time"
)

// Redis is where limits and the greylist are shared by all nodes.
type Redis struct {
	Addresses            []string      `toml:"addresses" format:"address" example:"unix:/run/redis/redis.sock" doc:"Where Redis listens: one server as unix:/path or address:port, several nodes of a Cluster, or with master the Sentinels. Empty: there is no Redis, and this process alone remembers."`
	Master               string        `toml:"master" max:"64" example:"gatepost" doc:"The name that Sentinels know the master by; the addresses are then theirs."`
	Cluster              bool          `toml:"cluster" doc:"The addresses are nodes of a Redis Cluster."`
	User                 string        `toml:"user" max:"64" example:"gatepost" doc:"The ACL user. It needs no more than ~gp:* +@read +@write +@scripting +@connection -@dangerous +time, and +cluster|slots on a Cluster."`
	PasswordFile         string        `toml:"password_file" format:"path" example:"/etc/gatepost/redis.password" doc:"The file whose first line is the user's password. It is read at the start."`
	SentinelUser         string        `toml:"sentinel_user" max:"64" doc:"The ACL user of the Sentinels."`
	SentinelPasswordFile string        `toml:"sentinel_password_file" format:"path" example:"/etc/gatepost/sentinel.password" doc:"The file whose first line is the password of the Sentinels."`
	TLS                  bool          `toml:"tls" doc:"Whether to speak TLS. Beyond loopback nothing else is spoken."`
	CAFile               string        `toml:"ca_file" format:"path" example:"/etc/gatepost/redis-ca.pem" doc:"The authorities that may sign the server's certificate, in PEM. Not set: those of the system."`
	ServerName           string        `toml:"server_name" format:"domain" example:"redis.example.org" doc:"The name in the server's certificate. Not set: the host of the address."`
	Cell                 string        `toml:"cell" max:"32" example:"mx" doc:"Parts installations that share a Redis: letters, digits, '-' and '_'. All nodes of an installation have the same."`
	Nodes                int           `toml:"nodes" default:"1" min:"1" max:"1000" doc:"How many nodes share this Redis. While it is away each counts for itself, with one and a half times its part of each limit."`
	SecretFile           string        `toml:"secret_file" format:"path" example:"/etc/gatepost/redis.secret" doc:"The key that keeps names and addresses out of Redis, as 64 hexadecimal digits; the same on all nodes. Not set: this installation's own, which will do for one node."`
	Alone                string        `toml:"alone" enum:"auto,local,pass" default:"auto" doc:"What becomes of a pair of sender and recipient that nobody but Redis could know, while it is away. local: it waits as if it were new. pass: it passes, and is not known. auto: local where this is the only node, which has seen all of them; pass where it might have waited at another node already, and would wait twice, but for a Redis that is out of memory, which strangers can bring about."`
	Timeout              time.Duration `toml:"timeout" default:"50ms" min:"10ms" max:"1s" doc:"How long one question may take, with all that it asks. After a failure nothing is asked for a second, and up to 30 while it lasts."`
	MaxConnections       int           `toml:"max_connections" default:"16" min:"1" max:"1000" doc:"Connections at the same time."`
}

// Used reports whether there is a Redis.
func (r *Redis) Used() bool { return len(r.Addresses) > 0 }

// PassAlone reports whether what is not known passes while Redis is away.
func (r *Redis) PassAlone() bool { return r.Alone == "pass" || r.Alone != "local" && r.Nodes > 1 }

// Validate checks that the keys go together, and that nothing goes beyond this machine in clear or without a name.
func (r *Redis) Validate(report func(key, message, instead string)) {
	if !r.Used() {
		r.refuseRest(report)
		return
	}
	if strings.Trim(r.Cell, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_") != "" {
		report("cell", shown(r.Cell)+" has other letters than A to Z, a to z, digits, '-' and '_'", `write for example "mx"`)
	}
	r.checkPlaces(report)
	if r.User != "" && r.PasswordFile == "" {
		report("user", "has no password", "write password_file too")
	}
	if r.SentinelUser != "" && r.SentinelPasswordFile == "" {
		report("sentinel_user", "has no password", "write sentinel_password_file too")
	}
	if r.Nodes > 1 && r.SecretFile == "" {
		report("nodes", "nodes with a key of their own each do not find what the others wrote", "write secret_file, the same on all nodes; openssl rand -hex 32 makes one")
	}
	if far := r.beyond(); far != "" {
		if !r.TLS {
			report("tls", shown(far)+" is not on this machine, and what is told there could be read and changed on the way", "write tls = true, or use a unix socket or a loopback address")
		}
		if r.User == "" || r.PasswordFile == "" {
			report("user", shown(far)+" is not on this machine, and whoever reaches it could say who is let in", "write user and password_file of an ACL user; docs/redis.md has its rights")
		}
	}
}

// checkPlaces checks that the addresses fit what is said to listen there.
func (r *Redis) checkPlaces(report func(key, message, instead string)) {
	for i, a := range r.Addresses {
		if !strings.HasPrefix(a, "unix:") {
			continue
		}
		at := "addresses[" + strconv.Itoa(i) + "]"
		switch {
		case r.Cluster || r.Master != "" || len(r.Addresses) > 1:
			report(at, "Sentinels and the nodes of a Cluster are not reached by a socket", "write address:port")
		case len(a)-len("unix:") > maxSocketPath:
			report(at, "the path of a socket may have 107 octets, this one has "+strconv.Itoa(len(a)-len("unix:")), "write a shorter path")
		case r.TLS:
			report("tls", "a unix socket needs none", "remove tls")
		}
	}
	switch {
	case r.Cluster && r.Master != "":
		report("master", "a Cluster has no Sentinels", "remove master or cluster")
	case !r.Cluster && r.Master == "" && len(r.Addresses) > 1:
		report("addresses", "several addresses are Sentinels or nodes of a Cluster", "write master, or cluster = true, or one address")
	case r.Master == "" && r.SentinelUser != "":
		report("sentinel_user", "there are no Sentinels without master", "write master, or remove it")
	case r.Master == "" && r.SentinelPasswordFile != "":
		report("sentinel_password_file", "there are no Sentinels without master", "write master, or remove it")
	case !r.TLS && r.CAFile != "":
		report("ca_file", "there is no certificate without TLS", "write tls = true, or remove it")
	case !r.TLS && r.ServerName != "":
		report("server_name", "there is no certificate without TLS", "write tls = true, or remove it")
	}
}

// refuseRest refuses what is said of a Redis that is nowhere: it was meant to be used.
func (r *Redis) refuseRest(report func(key, message, instead string)) {
	for key, value := range map[string]string{"master": r.Master, "user": r.User, "password_file": r.PasswordFile, "sentinel_user": r.SentinelUser,
		"sentinel_password_file": r.SentinelPasswordFile, "ca_file": r.CAFile, "server_name": r.ServerName, "cell": r.Cell, "secret_file": r.SecretFile} {
		if value != "" {
			report(key, "there is no Redis without addresses", `write for example addresses = ["unix:/run/redis/redis.sock"]`)
		}
	}
	for key, set := range map[string]bool{"cluster": r.Cluster, "tls": r.TLS, "nodes": r.Nodes > 1} {
		if set {
			report(key, "there is no Redis without addresses", `write for example addresses = ["unix:/run/redis/redis.sock"]`)
		}
	}
}

// beyond returns the first address that is not of this machine; "" if there is none.
func (r *Redis) beyond() string {
	for _, a := range r.Addresses {
		if strings.HasPrefix(a, "unix:") {
			continue
		}
		host, _, err := net.SplitHostPort(a)
		if err != nil || host == "localhost" {
			continue // not an address, which was told
		}
		if ip, err := netip.ParseAddr(host); err != nil || !ip.IsLoopback() {
			return a
		}
	}
	return ""
}
