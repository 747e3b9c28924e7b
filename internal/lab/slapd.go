package lab

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// SlapdOptions say what an LDAP server has.
type SlapdOptions struct {
	// Entries are in LDIF, below SlapdBase, which is there. Besides inetOrgPerson they may be of the auxiliary class adLike,
	// with proxyAddresses, userAccountControl, targetAddress and mailLocalAddress as Active Directory and others have them.
	Entries string
}

// What its entries are below, and who may read them.
const (
	SlapdBase     = "dc=example,dc=org"
	SlapdReader   = "cn=gatepost," + SlapdBase
	SlapdPassword = "reads-and-nothing-more"
	SlapdName     = "ldap.example.org" // in its certificate
)

// Slapd is a private OpenLDAP server. It gives 200 entries for one question, and more only page by page.
type Slapd struct {
	*Process             // of its last start
	Addr, TLSAddr string // host:port of ldap:// and ldaps://
	Certificate   string // file in PEM; it is its own authority

	dir string
	who owner
	own []*Port
}

// slapdConf is its configuration (slapd.conf(5)).
const slapdConf = `include /etc/ldap/schema/core.schema
include /etc/ldap/schema/cosine.schema
include /etc/ldap/schema/inetorgperson.schema
attributetype ( 1.3.6.1.4.1.55555.1 NAME 'proxyAddresses' EQUALITY caseIgnoreMatch SUBSTR caseIgnoreSubstringsMatch SYNTAX 1.3.6.1.4.1.1466.115.121.1.15 )
attributetype ( 1.3.6.1.4.1.55555.2 NAME 'userAccountControl' EQUALITY integerMatch SYNTAX 1.3.6.1.4.1.1466.115.121.1.27 SINGLE-VALUE )
attributetype ( 1.3.6.1.4.1.55555.3 NAME 'mailLocalAddress' EQUALITY caseIgnoreIA5Match SUBSTR caseIgnoreIA5SubstringsMatch SYNTAX 1.3.6.1.4.1.1466.115.121.1.26 )
objectclass ( 1.3.6.1.4.1.55555.4 NAME 'adLike' SUP top AUXILIARY MAY ( proxyAddresses $ userAccountControl $ mailLocalAddress $ mail ) )
modulepath /usr/lib/ldap
moduleload back_mdb
pidfile %[1]s/slapd.pid
argsfile %[1]s/slapd.args
TLSCertificateFile %[1]s/cert.pem
TLSCertificateKeyFile %[1]s/key.pem
sizelimit 200
security simple_bind=128
disallow bind_anon
database mdb
suffix "%[2]s"
directory %[1]s/db
maxsize 67108864
dbnosync
limits dn.exact="%[3]s" size.soft=200 size.hard=200 size.prtotal=unlimited
access to attrs=userPassword by anonymous auth by * none
access to * by dn.exact="%[3]s" read by * none
`

// slapdEntries are what is there besides those of a test.
const slapdEntries = `dn: %[1]s
objectClass: dcObject
objectClass: organization
dc: example
o: Example

dn: %[2]s
objectClass: organizationalRole
objectClass: simpleSecurityObject
cn: gatepost
userPassword: %[3]s

`

// StartSlapd starts a slapd with its state in dir and waits until it takes connections.
func StartSlapd(ctx context.Context, dir string, o SlapdOptions) (*Slapd, error) {
	program, err := program("slapd", "slapd")
	if err != nil {
		return nil, err
	}
	who, err := ownerNamed("nobody")
	if err != nil {
		return nil, err
	}
	s := &Slapd{dir: dir, who: who, Certificate: filepath.Join(dir, "cert.pem")}
	if err := s.prepare(program, o); err != nil {
		return nil, fmt.Errorf("slapd: %w", err)
	}
	for _, at := range []*string{&s.Addr, &s.TLSAddr} {
		port, own, err := portOr(nil)
		if err != nil {
			release(s.own)
			return nil, err
		}
		*at, s.own = port.Addr(), append(s.own, own...)
	}
	if err := s.Restart(ctx); err != nil {
		release(s.own)
		return nil, err
	}
	return s, nil
}

// prepare writes configuration and entries.
func (s *Slapd) prepare(program string, o SlapdOptions) error {
	if err := s.who.makeDirs(s.dir, filepath.Join(s.dir, "db")); err != nil {
		return err
	}
	if err := writeCertificate(s.Certificate, filepath.Join(s.dir, "key.pem"), SlapdName); err != nil {
		return err
	}
	if err := os.Chown(filepath.Join(s.dir, "key.pem"), s.who.uid, s.who.gid); err != nil {
		return err
	}
	for name, text := range map[string]string{
		"slapd.conf": fmt.Sprintf(slapdConf, s.dir, SlapdBase, SlapdReader),
		"first.ldif": fmt.Sprintf(slapdEntries, SlapdBase, SlapdReader, SlapdPassword) + o.Entries,
	} {
		if err := os.WriteFile(filepath.Join(s.dir, name), []byte(text), 0o644); err != nil {
			return err
		}
	}
	// Where AppArmor knows the program by its path, it may not read our folder: so it has another path.
	text, err := os.ReadFile(program)
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(s.dir, "slapd"), text, 0o755)
}

// Load replaces all entries while it does not run.
func (s *Slapd) Load(ctx context.Context, entries string) error {
	if err := os.WriteFile(filepath.Join(s.dir, "first.ldif"), []byte(fmt.Sprintf(slapdEntries, SlapdBase, SlapdReader, SlapdPassword)+entries), 0o644); err != nil {
		return err
	}
	return s.fill(ctx)
}

// fill makes the database of the entries.
func (s *Slapd) fill(ctx context.Context) error {
	old, _ := filepath.Glob(filepath.Join(s.dir, "db", "*"))
	for _, name := range old {
		if err := os.Remove(name); err != nil {
			return err
		}
	}
	cmd := exec.CommandContext(ctx, filepath.Join(s.dir, "slapd"), "-Tadd", "-q", "-f", filepath.Join(s.dir, "slapd.conf"), "-l", filepath.Join(s.dir, "first.ldif"))
	cmd.Dir = s.dir
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("slapd: entries: %w: %s", err, out)
	}
	made, _ := filepath.Glob(filepath.Join(s.dir, "db", "*"))
	for _, name := range made {
		if err := os.Chown(name, s.who.uid, s.who.gid); err != nil {
			return err
		}
	}
	return nil
}

// Restart starts it, again after Stop, at the same places.
func (s *Slapd) Restart(ctx context.Context) error {
	if s.Process == nil {
		if err := s.fill(ctx); err != nil {
			return err
		}
	}
	p, err := start(command{name: "slapd", path: filepath.Join(s.dir, "slapd"), dir: s.dir, owner: s.who, log: filepath.Join(s.dir, "slapd.log"),
		args: []string{"-d", "0", "-f", filepath.Join(s.dir, "slapd.conf"), "-h", "ldap://" + s.Addr + "/ ldaps://" + s.TLSAddr + "/"}})
	if err != nil {
		return err
	}
	s.Process = p
	return p.awaitReady(ctx, func() bool {
		for _, at := range []string{s.Addr, s.TLSAddr} {
			c, err := net.DialTimeout("tcp", at, time.Second)
			if err != nil {
				return false
			}
			_ = c.Close()
		}
		return true
	})
}

// Close stops it for good and gives its ports back.
func (s *Slapd) Close() error {
	err := s.Stop()
	release(s.own)
	s.own = nil
	return err
}

// SlapdPerson is the entry of a person in LDIF: lines are further attributes, as "mail: a@example.org".
func SlapdPerson(name string, lines ...string) string {
	return "dn: cn=" + name + "," + SlapdBase + "\nobjectClass: inetOrgPerson\nobjectClass: adLike\ncn: " + name + "\nsn: " + name + "\n" + strings.Join(lines, "\n") + "\n\n"
}

// SlapdGroup is the entry of a group in LDIF, with the persons of these names.
func SlapdGroup(name string, members ...string) string {
	out := "dn: cn=" + name + "," + SlapdBase + "\nobjectClass: groupOfNames\ncn: " + name + "\n"
	for _, m := range members {
		out += "member: cn=" + m + "," + SlapdBase + "\n"
	}
	return out + "\n"
}
