package lab

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// PostfixTool runs one of Postfix's commands, postconf or postmap, for a configuration folder, and returns what it prints.
// Nothing is started and nothing of the machine's own Postfix is read. Exit 1 without a complaint is no error: postmap says
// so that a key is not there.
func PostfixTool(ctx context.Context, dir, input, name string, args ...string) (string, error) {
	files, err := findPostfix("")
	if err != nil {
		return "", err
	}
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	cmd := exec.CommandContext(ctx, filepath.Join(files.commands, name), args...)
	cmd.Env = append(os.Environ(), "MAIL_CONFIG="+dir, "PATH=/usr/sbin:/usr/bin:/sbin:/bin")
	if files.libraries != "" {
		cmd.Env = append(cmd.Env, "LD_LIBRARY_PATH="+files.libraries)
	}
	cmd.Stdin = strings.NewReader(input)
	var out, complaints bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &complaints
	if err = cmd.Run(); err != nil && (cmd.ProcessState.ExitCode() != 1 || complaints.Len() > 0) {
		return "", fmt.Errorf("postfix: %s: %w: %s", name, err, complaints.String())
	}
	return out.String(), nil
}
