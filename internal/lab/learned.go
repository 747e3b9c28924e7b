package lab

import (
	"context"
	"fmt"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
)

// Lessons is how many messages an engine has learned.
type Lessons struct{ Spam, Ham int }

// magic are the lines of sa-learn --dump magic that count messages.
var magic = regexp.MustCompile(`(\d+)\s+\d+\s+non-token data: (nspam|nham)`)

// Learned is what a spamd knows that learns, as SpamAssassin's own tool tells.
func (s *Spamd) Learned(ctx context.Context) (l Lessons, err error) {
	home := filepath.Dir(s.Socket)
	out, err := exec.CommandContext(ctx, "sa-learn", "--siteconfigpath="+filepath.Join(home, "site"),
		"--dbpath="+filepath.Join(home, ".spamassassin", "bayes"), "--dump", "magic").Output()
	if err != nil {
		return l, fmt.Errorf("sa-learn: %w", err)
	}
	for _, m := range magic.FindAllStringSubmatch(string(out), -1) {
		to := &l.Ham
		if m[2] == "nspam" {
			to = &l.Spam
		}
		if *to, err = strconv.Atoi(m[1]); err != nil {
			return l, fmt.Errorf("sa-learn: %w", err)
		}
	}
	return l, nil
}

// Learned is what an rspamd knows that learns into r. (Its controller tells it with a delay of half a minute.)
func (r *Redis) Learned() (l Lessons, err error) {
	for class, to := range map[string]*int{"BAYES_SPAM": &l.Spam, "BAYES_HAM": &l.Ham} {
		said, err := r.Do("HGET", class, "learns")
		if err != nil {
			return l, err
		}
		if said == "" {
			continue // nothing yet
		}
		if *to, err = strconv.Atoi(said); err != nil {
			return l, fmt.Errorf("rspamd: learned: %w", err)
		}
	}
	return l, nil
}
