package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"gatepost/internal/config"
	"gatepost/internal/sandbox"
)

// systemFiles are what the resolver, TLS, the clock and the metrics of the process read at any time.
func systemFiles() []string {
	return []string{"/etc/resolv.conf", "/etc/hosts", "/etc/nsswitch.conf", "/etc/services", "/etc/localtime",
		"/usr/share/zoneinfo", "/proc", "/dev/null", "/dev/urandom"}
}

// authorities are where systems keep the certificates of authorities (crypto/x509 looks there).
func authorities() []string {
	return []string{"/etc/ssl/certs", "/etc/ssl/cert.pem", "/etc/ssl/ca-bundle.pem", "/etc/pki/tls/certs", "/etc/pki/tls/cacert.pem",
		"/etc/pki/ca-trust", "/usr/share/ca-certificates", "/usr/local/share/ca-certificates", "/usr/local/share/certs", "/var/lib/ca-certificates"}
}

// errOutside says that a reload names a file that the sandbox of the start does not hold.
const errOutside = "%w; the sandbox was made at the start for the files that were named then: restart needed"

// absolute is the path of the documents as the sandbox and our children know it: of "conf" alone nothing says that it is a folder of ours.
func absolute(path string) string {
	if whole, err := filepath.Abs(path); err == nil {
		return whole
	}
	return path
}

// rights are what the daemon keeps of the file system: what both documents name, what the system's resolver and TLS read,
// our own program, and the folders that we write.
func (d *daemon) rights(c *config.Config) sandbox.Rights {
	b := c.Bootstrap
	file := config.BootstrapIn(d.configPath)
	r := sandbox.Rights{Victims: true}
	for _, name := range namedFiles(c, file) {
		if name == "" {
			continue
		}
		r.Read = append(r.Read, sandbox.Beside(name)...)
	}
	for _, name := range systemFiles() {
		if info, err := os.Stat(name); err == nil && !info.IsDir() {
			r.Read = append(r.Read, sandbox.Beside(name)...)
			continue
		}
		r.Read = append(r.Read, name)
	}
	r.Read = append(r.Read, authorities()...)
	for _, name := range [...]string{"SSL_CERT_FILE", "SSL_CERT_DIR"} {
		r.Read = append(r.Read, filepath.SplitList(os.Getenv(name))...)
	}
	r.Write = []string{b.StateDir, b.Body.Dir, b.Spool.Dir, logFolder(b), filepath.Dir(b.Control.Socket)}
	r.Write = append(r.Write, b.Backup.Folders()...)
	r.Move = []string{b.Spool.Dir}
	keyRead, keyWrite := d.vaultRights(file)
	r.Read, r.Write = append(r.Read, keyRead...), append(r.Write, keyWrite...)
	if self, err := os.Executable(); err == nil {
		mayExecute(&r, self)
	}
	return r
}

// namedFiles are the documents, of which one is file, and the files that they name.
func namedFiles(c *config.Config, file string) []string {
	b := c.Bootstrap
	named := []string{file, filepath.Join(filepath.Dir(file), config.PolicyFile)}
	for _, f := range b.TLS.Pairs() {
		named = append(named, f.Certificate, f.Key)
	}
	named = append(named, b.ACME.CAFile, b.ACME.EABKeyFile, b.ACME.TSIGSecretFile, c.Policy.Reports.DMARC.DKIMKey, c.Policy.TLSReporting().DKIMKey)
	if r := &b.Redis; r.Used() { // a socket needs no right
		for _, name := range [...]string{r.PasswordFile, r.SentinelPasswordFile, r.CAFile, r.SecretFile} {
			if name != "" {
				named = append(named, name)
			}
		}
	}
	named = append(named, loginFiles(b)...)
	named = append(named, b.Store.Files()...)
	named = append(named, b.Backup.Files()...)
	named = append(named, b.ICAP.CAFile, b.Rspamd.PasswordFile)
	for i := range b.Hooks {
		named = append(named, b.Hooks[i].SecretFile, b.Hooks[i].CAFile)
	}
	for i := range c.Policy.Routes {
		r := &c.Policy.Routes[i] // a socket needs no right
		for _, name := range [...]string{r.CAFile, r.Auth.PasswordFile, r.ClientCert, r.ClientKey} {
			if name != "" {
				named = append(named, name)
			}
		}
	}
	for i := range c.Policy.Directories {
		switch x := &c.Policy.Directories[i]; x.Kind {
		case config.DirectoryLDAP:
			named = append(named, x.PasswordFile, x.CAFile)
		default:
			named = append(named, x.Path())
		}
	}
	if a := &c.Policy.ARC; a.Seal != config.SealOff && a.Key != "" {
		named = append(named, a.Key)
	}
	named = append(named, alarmFiles(c)...)
	if name := c.Policy.AliasFile; name != "" {
		named = append(named, name)
	}
	for i := range c.Policy.Groups {
		named = append(named, c.Policy.Groups[i].File)
	}
	for _, u := range c.Policy.RBL.Used() {
		if u.KeyFile != "" {
			named = append(named, u.KeyFile)
		}
	}
	return named
}

// confine makes our folders and enters the sandbox, before anything is opened for strangers, and tells what the kernel gave.
func (d *daemon) confine(c *config.Config) error {
	// A folder that is made later would not be within the sandbox.
	if err := os.MkdirAll(c.Bootstrap.Body.Dir, 0o700); err != nil {
		return fmt.Errorf("body.dir: %w", err)
	}
	if err := os.MkdirAll(c.Bootstrap.Spool.Dir, 0o700); err != nil {
		return fmt.Errorf("spool.dir: %w", err)
	}
	if err := os.MkdirAll(logFolder(c.Bootstrap), 0o700); err != nil {
		return fmt.Errorf("log: %w", err)
	}
	// Whatever makes a temporary file or socket makes it where we may write.
	if err := os.Setenv("TMPDIR", c.Bootstrap.Body.Dir); err != nil {
		return fmt.Errorf("body.dir: %w", err)
	}
	if c.Bootstrap.Sandbox == config.SandboxOff {
		d.log.Warn("sandbox: switched off by sandbox = \"off\" in gatepost.toml")
		return nil
	}
	r := d.rights(c)
	d.sandbox = sandbox.Enter(r)
	for _, name := range r.Read {
		if info, err := os.Stat(name); err == nil && info.Mode().IsRegular() {
			d.mayRead = append(d.mayRead, name)
		}
	}
	if d.sandbox.OK() {
		d.log.Info("sandbox", "in_force", d.sandbox.String())
	} else {
		d.log.Warn("sandbox: the kernel does not give all of it; the daemon runs on", "in_force", d.sandbox.String())
	}
	return nil
}

// sandboxHealth is the part "sandbox" of health: whether it is in force, and whether it holds back what we need.
func (d *daemon) sandboxHealth() (bool, string) {
	if d.bootstrap.Sandbox == config.SandboxOff {
		return false, `switched off by sandbox = "off" in gatepost.toml`
	}
	if lost := sandbox.Lost(d.mayRead); len(lost) > 0 {
		return false, strings.Join(lost, ", ") + " was replaced since the start, and the sandbox does not let the new one be read: restart needed"
	}
	return d.sandbox.OK(), d.sandbox.String()
}

// outside words the error of a file that a reload names and the sandbox holds back.
func outside(err error) error {
	if err != nil && sandbox.Held(err) {
		return fmt.Errorf(errOutside, err)
	}
	return err
}
