package lab

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"time"
)

// Finger lets Postfix's posttls-finger connect to a destination, "[host]:port" or "domain:port", at a TLS security level, as one
// who knows the validating resolver, and returns what it says. It says more where there is more to say, whatever its exit code.
func (s *Signed) Finger(ctx context.Context, level, destination string) (string, error) {
	files, err := findPostfix("")
	if err != nil {
		return "", err
	}
	conf := filepath.Join(s.dir, "postfix")
	if err := os.MkdirAll(conf, 0o755); err != nil {
		return "", err
	}
	if err := write(filepath.Join(conf, "main.cf"), "compatibility_level = 3.6\ninet_protocols = ipv4\n"); err != nil {
		return "", err
	}
	// Postfix waits for a file that was written just now to be whole.
	if err := os.Chtimes(filepath.Join(conf, "main.cf"), time.Time{}, time.Now().Add(-time.Hour)); err != nil {
		return "", err
	}
	command, err := s.Private(filepath.Join(files.commands, "posttls-finger"), "-c", "-t", "10", "-T", "10", "-l", level, "-L", "routine,untrusted,verbose", destination)
	if err != nil {
		return "", err
	}
	cmd := exec.CommandContext(ctx, command[0], command[1:]...)
	cmd.Dir = s.dir
	cmd.Env = []string{"MAIL_CONFIG=" + conf, "LD_LIBRARY_PATH=" + files.libraries, "PATH=/usr/sbin:/usr/bin:/sbin:/bin"}
	out, err := cmd.CombinedOutput()
	if len(out) > 0 {
		return string(out), nil
	}
	return "", fmt.Errorf("posttls-finger: %w", err)
}
