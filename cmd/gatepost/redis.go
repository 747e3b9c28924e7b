package main

import (
	"bytes"
	"crypto/tls"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"strings"
	"time"

	"gatepost/gateway/journal"
	"gatepost/internal/config"
	"gatepost/internal/redis"
	"gatepost/internal/shaping"
)

// redisLongestWait is the longest that a Redis which is away is not looked for: no mail waits for the look.
const redisLongestWait = 5 * time.Second

// useRedis reads what the document names of Redis. The client is made by useKey, and lives as long as the process.
func (p *parts) useRedis(b *config.Bootstrap, log *slog.Logger) (err error) {
	r := &b.Redis
	if !r.Used() {
		return nil
	}
	s := &redis.Settings{Master: r.Master, Cluster: r.Cluster, User: r.User, SentinelUser: r.SentinelUser, Cell: r.Cell,
		Timeout: r.Timeout, Pool: r.MaxConnections, LongestWait: redisLongestWait, Probed: true}
	for _, a := range r.Addresses {
		s.Addrs = append(s.Addrs, strings.TrimPrefix(a, "unix:"))
	}
	if s.Password, err = readPassword(r.PasswordFile, log); err != nil {
		return fmt.Errorf("redis.password_file: %w", err)
	}
	if s.SentinelPassword, err = readPassword(r.SentinelPasswordFile, log); err != nil {
		return fmt.Errorf("redis.sentinel_password_file: %w", err)
	}
	if r.SecretFile != "" {
		if p.secret, err = readSecret(r.SecretFile, log); err != nil {
			return fmt.Errorf("redis.secret_file: %w", err)
		}
	}
	if r.TLS {
		s.TLS = &tls.Config{MinVersion: tls.VersionTLS12, ServerName: r.ServerName}
		if r.CAFile != "" {
			if s.TLS.RootCAs, err = readCAs(r.CAFile); err != nil {
				return fmt.Errorf("redis.ca_file: %w", err)
			}
		}
	}
	p.redis, p.sharing = s, shaping.Options{Nodes: r.Nodes, Pass: r.PassAlone(), PassFull: r.Alone == "pass"}
	return nil
}

// openRedis makes the client with the key that keeps names out of Redis.
func (p *parts) openRedis(key []byte) error {
	if p.redis == nil {
		return nil
	}
	s := *p.redis
	s.Secret = key
	c, err := redis.Open(s)
	if err != nil {
		return err
	}
	p.shaper.Share(c, p.sharing)
	p.reputation.Share(c)
	p.deliveries = c
	return nil
}

// mostSecretFile is how long a file with a password or key may be.
const mostSecretFile = 4 << 10

// readSmall reads a file that holds a secret.
func readSmall(name string, log *slog.Logger) ([]byte, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	if info, err := f.Stat(); err == nil && info.Mode().Perm()&0o007 != 0 {
		log.Warn("a file with a secret can be read by everybody on this machine: chmod o= "+name, "file", name)
	}
	text, err := io.ReadAll(io.LimitReader(f, mostSecretFile+1))
	if err == nil && len(text) > mostSecretFile {
		err = fmt.Errorf("%s has more than %d octets; check that it is the right file", name, mostSecretFile)
	}
	return text, err
}

// readPassword reads the first line of a file; none is no password.
func readPassword(name string, log *slog.Logger) (string, error) {
	if name == "" {
		return "", nil
	}
	text, err := readSmall(name, log)
	if err != nil {
		return "", err
	}
	line, _, _ := bytes.Cut(text, []byte("\n"))
	if line = bytes.TrimSuffix(line, []byte("\r")); len(line) == 0 {
		return "", fmt.Errorf("%s: its first line is empty; write the password there", name)
	}
	return string(line), nil
}

// readSecret reads the key that the nodes share.
func readSecret(name string, log *slog.Logger) ([]byte, error) {
	text, err := readSmall(name, log)
	if err != nil {
		return nil, err
	}
	key, err := hex.DecodeString(string(bytes.TrimSpace(text)))
	if err != nil || len(key) != installationOctets {
		return nil, fmt.Errorf("%s must hold %d hexadecimal digits; openssl rand -hex %d makes them", name, 2*installationOctets, installationOctets)
	}
	return key, nil
}

// redisName is Redis in a list of servers.
func (p *parts) redisName() string {
	name := strings.Join(p.redis.Addrs, " ")
	if p.redis.Master != "" {
		name += " (Sentinels of " + p.redis.Master + ")"
	}
	return name
}

// redisAnswer tells how Redis fares.
func (p *parts) redisAnswer() answer {
	a := answer{What: "redis", Server: p.redisName()}
	h, asked := p.shaper.Health()
	switch {
	case !asked:
		a.Err = errors.New("did not answer yet")
	case h.Kind != redis.Fine:
		a.Err = redisFault(&h)
	default:
		a.Said = fmt.Sprintf("%d calls, away %d times", h.Calls, h.Opened)
	}
	return a
}

// redisFault says what ails Redis, and what an administrator does about it.
func redisFault(h *redis.Health) error {
	text := fmt.Sprintf("%s since %s: %s", h.Kind, h.Since.UTC().Format(time.RFC3339), h.Err)
	switch h.Kind {
	case redis.Denied:
		text += "; look at redis.user, redis.password_file and the user's rights"
	case redis.Full:
		text += "; raise maxmemory, or look at its disk"
	case redis.ReadOnly:
		text += "; a failover goes on, or the address is a replica's"
	}
	return errors.New(text)
}

// redisHealth is the part "redis" of readiness: mail goes on without it.
func (p *parts) redisHealth() (bool, string) {
	h, asked := p.shaper.Health()
	switch {
	case !asked:
		return true, "not asked yet"
	case h.Kind != redis.Fine:
		return false, redisFault(&h).Error() + "; this process stands in for it"
	}
	return true, ""
}

// redisInstruments shows how Redis fares, and how often this process stands in for it.
func (d *daemon) redisInstruments() {
	if d.parts.redis == nil {
		return
	}
	m, s := d.journal.Metrics(), d.parts.shaper
	health := func() redis.Health { h, _ := s.Health(); return h }
	m.Gauge("redis_up", "1 while Redis answers as it should.", func() float64 {
		if h, asked := s.Health(); asked && h.Kind == redis.Fine {
			return 1
		}
		return 0
	})
	m.Counter("redis_calls_total", "Calls that were sent to Redis, each of them all that a stage asks.", func() float64 { return float64(health().Calls) })
	m.Counter("redis_held_total", "Calls that were not sent, because Redis was away.", func() float64 { return float64(health().Held) })
	m.Counter("redis_opened_total", "Times that Redis was found away.", func() float64 { return float64(health().Opened) })
	m.Counters("redis_failures_total", "Calls that Redis did not answer as it should, by what ailed it.", []string{"kind"}, func() (out []journal.Series) {
		h := health()
		for kind := redis.Away; kind < redis.Held; kind++ {
			out = append(out, journal.Series{Labels: []string{kind.String()}, Value: float64(h.Failures[kind])})
		}
		return out
	})
	m.Counters("redis_without_total", "What this process answered itself, by what it was: limits and greylist while Redis was away; unknown: of those, "+
		"what passed since nobody knew it; rescued: what Redis had forgotten; taught: records that it was told again.", []string{"what"}, func() []journal.Series {
		c := s.Counts()
		return []journal.Series{{Labels: []string{"limits"}, Value: float64(c.Takes)}, {Labels: []string{"greylist"}, Value: float64(c.Tries)},
			{Labels: []string{"unknown"}, Value: float64(c.Unknown)}, {Labels: []string{"rescued"}, Value: float64(c.Rescued)},
			{Labels: []string{"taught"}, Value: float64(c.Taught)}}
	})
	d.journal.Health().Watch("redis", d.parts.redisHealth)
}
