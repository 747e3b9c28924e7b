package config

import (
	"strconv"
	"strings"
	"time"
)

// Backup says when this gateway makes backups of itself, for whom, and where they go.
type Backup struct {
	Every          time.Duration  `toml:"every" default:"0s" max:"31d" example:"24h" doc:"How often a backup is made and brought to each target. 0s: never by itself; else at least an hour. Mail does not wait for it."`
	Recipients     []string       `toml:"recipients" example:"age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kudqwgs4qr3z6gf" doc:"The public keys of age that open it (gatepost backup key makes a pair). With them nothing on this machine opens its own backups."`
	PassphraseFile string         `toml:"passphrase_file" format:"path" example:"/etc/gatepost/backup.passphrase" doc:"In place of recipients: the file whose first line is the passphrase, of 12 characters or more. It is read each time."`
	With           []string       `toml:"with" enum:"log,quarantine" doc:"What is in it besides what always is: the message log, mail in quarantine."`
	Keep           int            `toml:"keep" default:"14" min:"1" max:"1000" unit:"backups" doc:"How many backups of this gateway stay at each target. Older ones go once a newer one is there."`
	Targets        []BackupTarget `toml:"target" doc:"Where backups go: one folder each, on this machine or on another by SFTP, or one bucket by S3. Without any: backups/ in the state folder, which is no other disk."`
}

// BackupTarget is a place for backups.
type BackupTarget struct {
	Name         string `toml:"name" format:"word" required:"true" example:"nas" doc:"The target's name in status and alarms."`
	Directory    string `toml:"directory" format:"path" example:"/mnt/backups" doc:"A folder of this machine. It is never made: a disk that is not mounted is told."`
	SFTP         string `toml:"sftp" max:"500" example:"sftp://gatepost@nas.example.org/backups" doc:"A folder of another machine, by SFTP: sftp://user@host:port/path. The path is from the root; one that begins with /~/ from the user's folder."`
	HostKey      string `toml:"host_key" max:"100" example:"SHA256:nThbg6kXUpJWGl7E1IGOCspRomTxdCARLviKw6E5SY8" doc:"The fingerprint of that machine's key, as ssh-keygen -lf prints it. No other key is accepted."`
	KeyFile      string `toml:"key_file" format:"path" example:"/etc/gatepost/backup.ssh" doc:"The file of the private key that logs in, without a passphrase. Read each time."`
	PasswordFile string `toml:"password_file" format:"path" example:"/etc/gatepost/backup.password" doc:"In place of key_file: the file whose first line is the user's password. Read each time."`

	S3              string `toml:"s3" max:"500" example:"https://s3.eu-central-1.example.org" doc:"A server that speaks the API of Amazon S3 (MinIO, Ceph, Garage, most clouds): https://host:port, without the bucket."`
	Bucket          string `toml:"bucket" max:"63" example:"backups" doc:"The bucket there. It is never made."`
	Prefix          string `toml:"prefix" max:"200" example:"gatepost/" doc:"What stands before the name of each backup in the bucket. One that ends in / is a folder."`
	Region          string `toml:"region" max:"60" default:"us-east-1" doc:"The region that requests are signed for. Many servers take any."`
	Style           string `toml:"style" enum:"auto,path,host" default:"auto" doc:"Where a request names the bucket. path: behind the host; host: before it, so that bucket.host must be known to DNS and to the certificate; auto: host at the clouds that want it, else path."`
	CredentialsFile string `toml:"credentials_file" format:"path" example:"/etc/gatepost/backup.s3" doc:"The file whose first line is the access key ID, and whose second is the secret access key. Read each time."`
	CAFile          string `toml:"ca_file" format:"path" example:"/etc/gatepost/s3-ca.pem" doc:"The authorities that may sign the certificate of s3, in PEM. Not set: those of the system."`
}

// Used reports whether backups are made by themselves.
func (b *Backup) Used() bool { return b.Every > 0 }

// Files are those that are named.
func (b *Backup) Files() (out []string) {
	names := []string{b.PassphraseFile}
	for i := range b.Targets {
		names = append(names, b.Targets[i].KeyFile, b.Targets[i].PasswordFile, b.Targets[i].CredentialsFile, b.Targets[i].CAFile)
	}
	for _, name := range names {
		if name != "" {
			out = append(out, name)
		}
	}
	return out
}

// Folders are the targets on this machine.
func (b *Backup) Folders() (out []string) {
	for i := range b.Targets {
		if dir := b.Targets[i].Directory; dir != "" {
			out = append(out, dir)
		}
	}
	return out
}

// Validate checks what goes over several keys.
func (b *Backup) Validate(report func(key, message, instead string)) {
	if b.Every > 0 && b.Every < time.Hour {
		report("every", "is less than an hour", "write 1h or more")
	}
	switch {
	case len(b.Recipients) > 0 && b.PassphraseFile != "":
		report("passphrase_file", "and recipients are both there", "write one of them")
	case b.Used() && len(b.Recipients) == 0 && b.PassphraseFile == "":
		report("every", "nobody could open these backups", "write recipients or passphrase_file; gatepost backup key makes a pair of keys")
	}
	for i, r := range b.Recipients {
		if !strings.HasPrefix(r, "age1") {
			report("recipients["+strconv.Itoa(i)+"]", "is no public key of age", "write one that begins with age1")
		}
	}
	seen := map[string]bool{}
	for i := range b.Targets {
		t, at := &b.Targets[i], "target["+strconv.Itoa(i)+"]"
		if seen[t.Name] {
			report(at+".name", shown(t.Name)+" is the name of two targets", "give each a name of its own")
		}
		seen[t.Name] = true
		t.validate(at, report)
	}
}
