package config

import (
	"strconv"
	"strings"
)

// ACME is the authority that certificates are got from, and how it is shown that names are ours.
type ACME struct {
	Directory      string `toml:"directory" format:"url" default:"https://acme-v02.api.letsencrypt.org/directory" rfc:"RFC 8555 section 7.1.1" doc:"The https address of the authority's directory."`
	Email          string `toml:"email" format:"mailbox" example:"postmaster@example.org" doc:"Whom the authority may write to about the account. Not set: nobody."`
	AgreeTerms     bool   `toml:"agree_terms" doc:"A person has read the authority's terms and agrees to them. Without it no account is made where there are terms."`
	CAFile         string `toml:"ca_file" format:"path" example:"/etc/gatepost/tls/acme-ca.pem" doc:"The authorities that may sign the certificate of the directory's https, in PEM, for a private one such as step-ca. Not set: those of the system."`
	EABKeyID       string `toml:"eab_key_id" max:"256" rfc:"RFC 8555 section 7.3.4" doc:"The id of an account that the authority has of you already, where it wants one (external account binding)."`
	EABKeyFile     string `toml:"eab_key_file" format:"path" example:"/etc/gatepost/tls/eab.key" doc:"The file with the key that belongs to eab_key_id, in base64url."`
	DNSServer      string `toml:"dns_server" format:"server" example:"192.0.2.53" rfc:"RFC 2136" doc:"For dns-01: the primary name server of the zones, which takes updates; port 53 unless written."`
	TSIGName       string `toml:"tsig_name" max:"253" example:"gatepost-acme" rfc:"RFC 8945" doc:"For dns-01: the name of the key that signs updates."`
	TSIGAlgorithm  string `toml:"tsig_algorithm" enum:"hmac-sha256,hmac-sha512" default:"hmac-sha256" rfc:"RFC 8945 section 6" doc:"For dns-01: the algorithm of that key."`
	TSIGSecretFile string `toml:"tsig_secret_file" format:"path" example:"/etc/gatepost/tls/tsig.secret" doc:"For dns-01: the file with the key's secret in base64."`
}

// Challenges of [[tls.acme]].
const (
	ChallengeHTTP = "http-01"
	ChallengeALPN = "tls-alpn-01"
	ChallengeDNS  = "dns-01"
)

// TLSACME is one certificate from the authority.
type TLSACME struct {
	Names     []string `toml:"names" format:"certificate-name" required:"true" example:"mx.example.org, mta-sts.example.org" doc:"The names of one certificate. The first names it in status and on disk. One that begins with *. needs dns-01."`
	Challenge string   `toml:"challenge" enum:"http-01,tls-alpn-01,dns-01" default:"http-01" rfc:"RFC 8555 section 8, RFC 8737" doc:"How it is shown that the names are ours. http-01: on port 80 of web.public_http, at the address of each name; tls-alpn-01: on port 443 of web.public_https; dns-01: by a TXT record, which acme.dns_server takes."`
	KeyType   string   `toml:"key_type" enum:"ecdsa,rsa,both" default:"ecdsa" doc:"The kind of key: ecdsa (P-256), rsa (2048 bits), or a certificate of each for clients that are old."`
}

// letsEncrypt is a part of all its directories.
const letsEncrypt = ".letsencrypt.org/"

// Most of what is taken.
const (
	mostACME      = 100
	mostACMENames = 100 // what Let's Encrypt takes
)

// validateACME checks what goes over several tables.
func (b *Bootstrap) validateACME(report func(key, message, instead string)) {
	if len(b.TLS.ACME) == 0 {
		return
	}
	if strings.Contains(b.ACME.Directory, letsEncrypt) && !b.ACME.AgreeTerms {
		report("acme.agree_terms", "is not true: Let's Encrypt gives no certificates before a person has agreed to its terms",
			"read https://letsencrypt.org/repository/ and write agree_terms = true in [acme]")
	}
	if len(b.TLS.ACME) > mostACME {
		report("tls.acme", "there are "+strconv.Itoa(len(b.TLS.ACME))+" of them, at most "+strconv.Itoa(mostACME), "put names that belong together into one certificate")
	}
	first := map[string]bool{}
	for i := range b.TLS.ACME {
		x, at := &b.TLS.ACME[i], "tls.acme["+strconv.Itoa(i)+"]."
		if len(x.Names) > 0 && first[x.Names[0]] {
			report(at+"names", shown(x.Names[0])+" is the first name of two certificates", "give each a first name of its own")
		}
		if len(x.Names) > 0 {
			first[x.Names[0]] = true
		}
		b.canProve(x, at, report)
	}
}

// canProve checks that an entry's challenge can be answered.
func (b *Bootstrap) canProve(x *TLSACME, at string, report func(key, message, instead string)) {
	switch x.Challenge {
	case ChallengeHTTP:
		if len(b.Web.PublicHTTP) == 0 {
			report(at+"challenge", "http-01 is answered on port 80 by the web listener public, and there is none", `write public_http = ["0.0.0.0:80", "[::]:80"] in [web]`)
		}
	case ChallengeALPN:
		if len(b.Web.PublicHTTPS) == 0 {
			report(at+"challenge", "tls-alpn-01 is answered on port 443 by the web listener public, and there is none", `write public_https = ["0.0.0.0:443", "[::]:443"] in [web]`)
		}
	case ChallengeDNS:
		for _, need := range [...][3]string{{b.ACME.DNSServer, "dns_server", `dns_server = "192.0.2.53"`}, {b.ACME.TSIGName, "tsig_name", `tsig_name = "gatepost-acme"`},
			{b.ACME.TSIGSecretFile, "tsig_secret_file", `tsig_secret_file = "/etc/gatepost/tls/tsig.secret"`}} {
			if need[0] == "" {
				report(at+"challenge", "dns-01 needs acme."+need[1], "write "+need[2]+" in [acme], with what your name server has")
			}
		}
	}
}

// Validate checks the names of one certificate.
func (t *TLSACME) Validate(report func(key, message, instead string)) {
	switch {
	case t.Names != nil && len(t.Names) == 0:
		report("names", "is an empty list", `write for example names = ["mx.example.org"]`)
	case len(t.Names) > mostACMENames:
		report("names", "has "+strconv.Itoa(len(t.Names))+" names, at most "+strconv.Itoa(mostACMENames), "write another [[tls.acme]] for some of them")
	}
	for i, name := range t.Names {
		if strings.HasPrefix(name, "*.") && t.Challenge != ChallengeDNS {
			report("names["+strconv.Itoa(i)+"]", shown(name)+" stands for every name below, which only dns-01 can prove", `write challenge = "dns-01", or each name`)
		}
	}
}

// Validate checks that the keys go together.
func (a *ACME) Validate(report func(key, message, instead string)) {
	if strings.HasPrefix(a.Directory, "http:") {
		report("directory", shown(a.Directory)+" is not https, and whoever is on the way could get certificates in your place", "write its https address")
	}
	pair := func(name, value, other, otherValue string) {
		if value != "" && otherValue == "" {
			report(name, "has no "+other, "write "+other+" too, or neither")
		}
	}
	pair("eab_key_id", a.EABKeyID, "eab_key_file", a.EABKeyFile)
	pair("eab_key_file", a.EABKeyFile, "eab_key_id", a.EABKeyID)
	pair("tsig_name", a.TSIGName, "tsig_secret_file", a.TSIGSecretFile)
	pair("tsig_secret_file", a.TSIGSecretFile, "tsig_name", a.TSIGName)
	if strings.Trim(strings.ToLower(a.TSIGName), "abcdefghijklmnopqrstuvwxyz0123456789-_.") != "" {
		report("tsig_name", shown(a.TSIGName)+" is not the name of a key", `write it as your name server has it, for example "gatepost-acme"`)
	}
}

// checkCertificateName reads a host name, or one with *. before it (RFC 8555 section 7.1.3).
func checkCertificateName(text string) (string, *ValueError) {
	base, wild := strings.CutPrefix(text, "*.")
	name, bad := checkHostname(base)
	if bad != nil {
		return "", bad
	}
	if wild {
		return "*." + name, nil
	}
	return name, nil
}
