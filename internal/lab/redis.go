package lab

import (
	"bufio"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// RedisOptions change a Redis; the zero value asks for no password and keeps nothing over a restart.
type RedisOptions struct {
	// Password is what clients must say; empty: none. It may hold no white space.
	Password string
	// User is the ACL user that Password belongs to. It may touch keys that begin with "gp:" only, by reading, writing
	// and scripts, and learn where the slots of a Cluster are; nobody else may do anything. Empty: the default user, who
	// may do all.
	User string
	// Sentinel makes it a Sentinel, which watches the master at this host:port under the name RedisMaster and takes
	// a replica in its place once it has been away for 200 ms. Empty: it is no Sentinel.
	Sentinel string
	// Settings are lines of redis.conf. They take the place of shipped ones of the same name.
	Settings []string
	// Port is as in PostfixOptions.
	Port *Port
}

// Redis is a private redis-server.
type Redis struct {
	*Process        // of its last start
	Addr     string // host:port
	Socket   string // path of its unix socket

	dir, path, admin string // admin is the password of the lab's own user
	who              owner
	own              []*Port
	args             []string
}

// RedisMaster is the name of the master that a Sentinel watches.
const RedisMaster = "lab"

// redisUser is the ACL user by which the lab itself talks to it.
const redisUser = "lab"

// StartRedis starts a redis-server with its state in dir and waits until it answers PING. The path of dir may have at
// most 105 bytes.
func StartRedis(ctx context.Context, dir string, o RedisOptions) (*Redis, error) {
	path, err := program("redis-server", "redis-server")
	if err != nil {
		return nil, err
	}
	who, err := ownerNamed("redis", "nobody")
	if err != nil {
		return nil, err
	}
	if len(dir)+2 > maxSocketPath {
		return nil, fmt.Errorf("redis: folder %s: too long for a unix socket", dir)
	}
	if err := who.makeDirs(dir); err != nil {
		return nil, err
	}
	port, own, err := portOr(o.Port)
	if err != nil {
		return nil, err
	}
	r := &Redis{Addr: port.Addr(), Socket: filepath.Join(dir, "s"), dir: dir, path: path, admin: rand.Text(), who: who, own: own}
	if err := r.write(merge(r.settings(port.Number, o), o.Settings), o.Sentinel); err != nil {
		release(own)
		return nil, fmt.Errorf("redis: %w", err)
	}
	if err := r.Restart(ctx); err != nil {
		release(own)
		return nil, err
	}
	return r, nil
}

// write writes the configuration, which belongs to the server: a Sentinel notes in it what it has learned.
func (r *Redis) write(settings []string, watched string) error {
	conf := filepath.Join(r.dir, "redis.conf")
	r.args = []string{conf}
	if watched != "" {
		host, port, err := net.SplitHostPort(watched)
		if err != nil {
			return err
		}
		settings = append(settings, "sentinel monitor "+RedisMaster+" "+host+" "+port+" 1",
			"sentinel down-after-milliseconds "+RedisMaster+" 200", "sentinel failover-timeout "+RedisMaster+" 2000")
		r.args = append(r.args, "--sentinel")
	}
	if err := os.WriteFile(conf, []byte(strings.Join(settings, "\n")+"\n"), 0o644); err != nil {
		return err
	}
	return os.Chown(conf, r.who.uid, r.who.gid)
}

// settings are the lines of its configuration. A "user" line stands once for each user, which merge would not keep, so
// that all of them are one entry.
func (r *Redis) settings(port int, o RedisOptions) []string {
	users := []string{"user " + redisUser + " on >" + r.admin + " ~* &* +@all"}
	secret := "nopass"
	if o.Password != "" {
		secret = ">" + o.Password
	}
	if o.User == "" {
		users = append(users, "user default on "+secret+" ~* &* +@all")
	} else {
		users = append(users, "user default off",
			"user "+o.User+" on "+secret+" ~gp:* +@read +@write +@scripting +@connection -@dangerous +time +cluster|slots")
	}
	return []string{
		"daemonize no",
		"bind 127.0.0.1",
		"port " + strconv.Itoa(port),
		"unixsocket " + r.Socket,
		"unixsocketperm 777",
		"dir " + r.dir,
		`save ""`,
		"appendonly no",
		"databases 1",
		"repl-diskless-sync-delay 0", // a replica follows at once
		strings.Join(users, "\n"),
	}
}

// Restart starts it again after Stop or Kill, at the same places. What it kept only in memory is gone.
func (r *Redis) Restart(ctx context.Context) error {
	if r.Process != nil && r.Running() {
		return errors.New("redis: it runs already")
	}
	p, err := start(command{
		name: "redis", path: r.path, args: r.args, dir: r.dir, owner: r.who, log: filepath.Join(r.dir, "redis.log"),
	})
	if err != nil {
		return err
	}
	r.Process = p
	return p.awaitReady(ctx, func() bool {
		answer, err := r.Do("PING")
		return err == nil && answer == "PONG"
	})
}

// Close stops it for good and gives its port back.
func (r *Redis) Close() error {
	err := r.Stop()
	release(r.own)
	r.own = nil
	return err
}

// Do sends one command as a user who may do all and returns the answer: a text, a number in digits, the lines of an
// array, or an empty string for nil. An answer that is an error is the error.
func (r *Redis) Do(words ...string) (string, error) {
	conn, err := net.DialTimeout("unix", r.Socket, time.Second)
	if err != nil {
		return "", fmt.Errorf("redis: %w", err)
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(5 * time.Second)); err != nil {
		return "", fmt.Errorf("redis: %w", err)
	}
	var b strings.Builder
	for _, command := range [][]string{{"AUTH", redisUser, r.admin}, words} {
		fmt.Fprintf(&b, "*%d\r\n", len(command))
		for _, w := range command {
			fmt.Fprintf(&b, "$%d\r\n%s\r\n", len(w), w)
		}
	}
	if _, err := io.WriteString(conn, b.String()); err != nil {
		return "", fmt.Errorf("redis: %w", err)
	}
	in := bufio.NewReader(conn)
	if _, err := redisAnswer(in); err != nil {
		return "", fmt.Errorf("redis: AUTH: %w", err)
	}
	answer, err := redisAnswer(in)
	if err != nil {
		return "", fmt.Errorf("redis: %s: %w", words[0], err)
	}
	return answer, nil
}

// redisAnswer reads one answer of RESP 2.
func redisAnswer(in *bufio.Reader) (string, error) {
	line, err := in.ReadString('\n')
	if err != nil {
		return "", err
	}
	kind, rest := line[0], strings.TrimRight(line[1:], "\r\n")
	switch kind {
	case '+', ':':
		return rest, nil
	case '-':
		return "", errors.New(rest)
	}
	n, err := strconv.Atoi(rest)
	if err != nil || kind != '$' && kind != '*' {
		return "", fmt.Errorf("answer %q", line)
	}
	if n < 0 {
		return "", nil
	}
	if kind == '$' {
		text := make([]byte, n+2)
		_, err := io.ReadFull(in, text)
		return string(text[:n]), err
	}
	lines := make([]string, n)
	for i := range lines {
		if lines[i], err = redisAnswer(in); err != nil {
			return "", err
		}
	}
	return strings.Join(lines, "\n"), nil
}
