package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"gatepost/internal/lab"
)

// redisUser is the only one that may do anything there, and no more than docs/redis.md says.
const redisUser = "gatepost"

// passwordFile is where Gatepost reads its password.
func passwordFile(dir string) string { return filepath.Join(dir, "redis.password") }

// startRedis starts a server as docs/redis.md sets it up, with a password of its own.
func (w *world) startRedis(ctx context.Context) (err error) {
	w.say("redis-server starts")
	password := rand.Text()
	dir := filepath.Join(w.dir, "gatepost")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	if err := os.WriteFile(passwordFile(dir), []byte(password+"\n"), 0o600); err != nil {
		return err
	}
	w.redis, err = lab.StartRedis(ctx, filepath.Join(w.dir, "redis"), lab.RedisOptions{User: redisUser, Password: password})
	if err != nil {
		return err
	}
	w.say("redis-server at %s, for the user %s with a password", w.redis.Socket, redisUser)
	return nil
}

// redisTable is the table of gatepost.toml; nothing without Redis.
func (w *world) redisTable(dir string) string {
	if w.redis == nil {
		return ""
	}
	return fmt.Sprintf("\n[redis]\naddresses = [\"unix:%s\"]\nuser = %q\npassword_file = %q\ncell = \"demo\"\n",
		w.redis.Socket, redisUser, passwordFile(dir))
}

// showRedis prints how many records lie in Redis: never of whom.
func (w *world) showRedis(out io.Writer) error {
	if w.redis == nil {
		return nil
	}
	keys, err := w.redis.Do("KEYS", "gp:demo:*")
	if err != nil {
		return err
	}
	if keys == "" {
		return errors.New("redis: nothing lies in it")
	}
	kinds, example := map[byte]int{}, ""
	for key := range strings.FieldsSeq(keys) {
		kind := key[len("gp:demo:")]
		if kinds[kind]++; kind == 'r' {
			example = key
		}
	}
	_, err = fmt.Fprintf(out, "\nIn Redis lie counters of limits (%d), pairs of sender and recipient (%d) and histories (%d), under HMACs; one is %s.\n",
		kinds['r'], kinds['g'], kinds['h'], example)
	return err
}
