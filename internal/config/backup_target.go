package config

import (
	"net/netip"
	"net/url"
	"regexp"
	"strings"
)

// Kinds of a BackupTarget.
const (
	backupFolder = "directory"
	backupSFTP   = "sftp"
	backupS3     = "s3"
)

// URL is where the target is reached, or "" for a folder of this machine.
func (t *BackupTarget) URL() string { return t.SFTP + t.S3 }

// kind is what the target is, or "" if that is not clear.
func (t *BackupTarget) kind() (kind string) {
	for _, k := range [...]stated{{backupFolder, t.Directory != ""}, {backupSFTP, t.SFTP != ""}, {backupS3, t.S3 != ""}} {
		if k.is && kind != "" {
			return ""
		}
		if k.is {
			kind = k.key
		}
	}
	return kind
}

func (t *BackupTarget) validate(at string, report func(key, message, instead string)) {
	kind := t.kind()
	if kind == "" {
		report(at, "must have one place", "write one of directory, sftp and s3")
		return
	}
	foreign := firstOf(stated{"host_key", t.HostKey != ""}, stated{"key_file", t.KeyFile != ""}, stated{"password_file", t.PasswordFile != ""})
	if kind != backupSFTP && foreign != "" {
		report(at+"."+foreign, "is for sftp, and this is "+kind, "remove it")
		return
	}
	foreign = firstOf(stated{"bucket", t.Bucket != ""}, stated{"prefix", t.Prefix != ""}, stated{"style", t.Style != "" && t.Style != "auto"},
		stated{"credentials_file", t.CredentialsFile != ""}, stated{"ca_file", t.CAFile != ""})
	if kind != backupS3 && foreign != "" {
		report(at+"."+foreign, "is for s3, and this is "+kind, "remove it")
		return
	}
	switch kind {
	case backupSFTP:
		t.validateSFTP(at, report)
	case backupS3:
		t.validateS3(at, report)
	}
}

func (t *BackupTarget) validateSFTP(at string, report func(key, message, instead string)) {
	u, err := url.Parse(t.SFTP)
	if err != nil || u.Scheme != "sftp" || u.User.Username() == "" || u.Hostname() == "" || u.Path == "" || u.RawQuery != "" || u.Fragment != "" {
		report(at+".sftp", "is no sftp://user@host/path", `write for example "sftp://gatepost@nas.example.org/backups"`)
		return
	}
	if _, has := u.User.Password(); has {
		report(at+".sftp", "has a password, which whoever reads this document would read too", "write it to a file, and the file's name as password_file")
	}
	if len(t.HostKey) != len("SHA256:")+43 || !strings.HasPrefix(t.HostKey, "SHA256:") {
		report(at+".host_key", "is no fingerprint of a host key", "write what this prints there: ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub")
	}
	if (t.KeyFile == "") == (t.PasswordFile == "") {
		report(at, "must have one way to log in", "write key_file or password_file, and not both")
	}
}

func (t *BackupTarget) validateS3(at string, report func(key, message, instead string)) {
	u, err := url.Parse(t.S3)
	switch {
	case err == nil && u.User != nil:
		report(at+".s3", "has a user or password, which whoever reads this document would read too", "write access key ID and secret to a file, and its name as credentials_file")
		return
	case err == nil && u.Scheme == "http":
		report(at+".s3", "is not encrypted: somebody between could throw backups away and say that they were stored", "write https://, and where the certificate is your own ca_file")
		return
	case err != nil || u.Scheme != "https" || u.Hostname() == "" || strings.Trim(u.Path, "/") != "" || u.RawQuery != "" || u.Fragment != "":
		report(at+".s3", "is no https://host without a path", `write for example "https://s3.eu-central-1.example.org", and the bucket as bucket`)
		return
	}
	if !regexp.MustCompile(`^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$`).MatchString(t.Bucket) {
		report(at+".bucket", "is no name of a bucket", "write its name: 3 to 63 small letters, digits, dots and dashes")
	}
	if strings.HasPrefix(t.Prefix, "/") || strings.Contains("/"+t.Prefix+"/", "/../") || strings.Contains(t.Prefix, "//") {
		report(at+".prefix", "begins with /, or has .. or // in it", `write for example "gatepost/"`)
	}
	if _, err := netip.ParseAddr(u.Hostname()); t.Style == "host" && (err == nil || strings.Contains(t.Bucket, ".")) {
		report(at+".style", "host cannot be: the bucket's name would stand before an address, or has a dot, for which no certificate is valid", `write "path"`)
	}
	if t.CredentialsFile == "" {
		report(at+".credentials_file", "is missing", "write the name of a file whose first line is the access key ID, and whose second is the secret access key")
	}
}
