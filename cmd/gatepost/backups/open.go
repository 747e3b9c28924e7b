package backups

import (
	"cmp"
	"context"
	"crypto/x509"
	"fmt"
	"io"
	"net"
	"net/url"
	"os"
	"strings"

	"gatepost/appliance/backup/targets"
	"gatepost/internal/config"
)

// opener is how a target is opened. Its secrets are read each time.
func opener(t *config.BackupTarget) targets.Opener {
	switch {
	case t.Directory != "":
		return targets.Directory(t.Directory)
	case t.S3 != "":
		return func(ctx context.Context) (targets.Place, error) { return openS3(ctx, t) }
	}
	return func(ctx context.Context) (targets.Place, error) { return openSFTP(ctx, t) }
}

func openSFTP(ctx context.Context, t *config.BackupTarget) (targets.Place, error) {
	u, err := url.Parse(t.SFTP)
	if err != nil {
		return nil, err
	}
	to := targets.SFTP{Address: net.JoinHostPort(u.Hostname(), cmp.Or(u.Port(), "22")), User: u.User.Username(), Folder: u.Path, HostKey: t.HostKey}
	if t.KeyFile != "" {
		if to.Key, err = os.ReadFile(t.KeyFile); err != nil {
			return nil, err
		}
	} else if to.Password, err = secret(t.PasswordFile, "password"); err != nil {
		return nil, err
	}
	return to.Open(ctx)
}

func openS3(ctx context.Context, t *config.BackupTarget) (targets.Place, error) {
	u, err := url.Parse(t.S3)
	if err != nil {
		return nil, err
	}
	to := targets.S3{Endpoint: u.Host, Bucket: t.Bucket, Prefix: t.Prefix, Region: t.Region}
	if t.Style != "auto" {
		to.Style = t.Style
	}
	if to.AccessKey, to.Secret, err = credentials(t.CredentialsFile); err != nil {
		return nil, err
	}
	if t.CAFile != "" {
		text, err := os.ReadFile(t.CAFile)
		if err != nil {
			return nil, err
		}
		to.Roots = x509.NewCertPool()
		if !to.Roots.AppendCertsFromPEM(text) {
			return nil, fmt.Errorf("%s holds no certificate in PEM", t.CAFile)
		}
	}
	return to.Open(ctx)
}

// credentials are the first two lines of a file.
func credentials(name string) (id, key string, err error) {
	f, err := os.Open(name)
	if err != nil {
		return "", "", err
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, 4096))
	if err != nil {
		return "", "", err
	}
	id, rest, _ := strings.Cut(string(text), "\n")
	key, _, _ = strings.Cut(rest, "\n")
	if id, key = strings.TrimSpace(id), strings.TrimSpace(key); id == "" || key == "" {
		return "", "", fmt.Errorf("%s: it must have two lines: the access key ID, and the secret access key", name)
	}
	return id, key, nil
}
