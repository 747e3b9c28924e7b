package config

import (
	"encoding/hex"
	"net"
	"net/netip"
	"net/url"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"

	"golang.org/x/net/idna"
)

// checkFormat reads a string by the name of a format tag and gives its canonical form.
func checkFormat(format, text string) (string, *ValueError) {
	switch format {
	case "hostname":
		return checkHostname(text)
	case "domain":
		return checkDomain(text)
	case "certificate-name":
		return checkCertificateName(text)
	case "pattern":
		return checkPattern(text)
	case "mailbox":
		return checkMailbox(text)
	case "recipient":
		return checkRecipient(text)
	case "member":
		return checkMember(text)
	case "to":
		return checkTo(text)
	case "from":
		return checkFrom(text)
	case "host":
		return checkHost(text)
	case "service":
		return checkService(text)
	case "next-hop":
		return checkNextHop(text)
	case "address":
		return checkAddress(text)
	case "server":
		return checkServer(text)
	case "syslog":
		return checkSyslog(text)
	case "path":
		if !filepath.IsAbs(text) {
			return "", &ValueError{"is not an absolute path", "write the path from the root, beginning with /"}
		}
		return filepath.Clean(text), nil
	case "fingerprint":
		return checkFingerprint(text)
	case "header":
		return checkHeader(text)
	case "ldap":
		return checkLDAP(text)
	case "attribute":
		return checkAttribute(text)
	case "regexp":
		if _, err := regexp.Compile(text); err != nil {
			return "", &ValueError{Message: "is not a regular expression: " + strings.TrimPrefix(err.Error(), "error parsing regexp: ")}
		}
		return text, nil
	case "clock":
		return checkClock(text)
	case "word":
		if strings.Trim(strings.ToLower(text), "abcdefghijklmnopqrstuvwxyz0123456789-_.") != "" {
			return "", &ValueError{"is not a plain word", "use letters, digits, '-', '_' and '.' only"}
		}
		return text, nil
	case "url":
		u, err := url.Parse(text)
		if err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http" {
			return "", &ValueError{"is not a web address", `write for example "https://www.example.org/"`}
		}
		return text, nil
	}
	return "", &ValueError{Message: "has the unknown format " + format}
}

// checkDomain reads a domain name (RFC 1035 section 2.3.1, with RFC 2181's underscore left out) and turns U-labels into A-labels (RFC 5891).
func checkDomain(text string) (string, *ValueError) {
	bad := &ValueError{"is not a domain name", `write for example "example.org"`}
	if strings.HasSuffix(text, ".") {
		return "", &ValueError{"ends with a dot", "write it without the last dot"}
	}
	if strings.ContainsRune(text, '@') {
		return "", &ValueError{"is a mail address, not a domain name", "write only what stands behind the @"}
	}
	ascii, err := idna.Lookup.ToASCII(text)
	if err != nil || len(ascii) > 253 {
		return "", bad
	}
	labels := strings.Split(ascii, ".")
	for _, label := range labels {
		if label == "" || len(label) > 63 || label[0] == '-' || label[len(label)-1] == '-' ||
			strings.Trim(label, "abcdefghijklmnopqrstuvwxyz0123456789-") != "" {
			return "", bad
		}
	}
	if allDigits(labels[len(labels)-1]) {
		return "", bad
	}
	return ascii, nil
}

// checkHostname wants a fully qualified name: what RFC 5321 section 2.3.5 lets us greet with.
func checkHostname(text string) (string, *ValueError) {
	name, bad := checkDomain(text)
	if bad != nil {
		bad.Message, bad.Instead = strings.Replace(bad.Message, "a domain name", "a host name", 1), `write for example "mx.example.org"`
		return "", bad
	}
	if !strings.Contains(name, ".") {
		return "", &ValueError{"is not fully qualified", `write the name with its domain, for example "mx.example.org"`}
	}
	return name, nil
}

func checkHost(text string) (string, *ValueError) {
	if a, err := netip.ParseAddr(text); err == nil && a.Zone() == "" {
		return a.Unmap().String(), nil
	}
	name, bad := checkDomain(text)
	if bad != nil {
		return "", &ValueError{"is neither a host name nor an IP address", `write for example "mail.example.org" or "192.0.2.1", without a port`}
	}
	return name, nil
}

// unixPrefix is what an address begins with that is the path of a socket.
const unixPrefix = "unix:"

// checkService reads the name of an SRV record (RFC 2782): _service._protocol.domain.
func checkService(text string) (string, *ValueError) {
	bad := &ValueError{"is not the name of a service", `write for example "_smtp._tcp.example.net"`}
	parts := strings.SplitN(strings.ToLower(text), ".", 3)
	if len(parts) < 3 || len(text) > 253 {
		return "", bad
	}
	for _, label := range parts[:2] {
		if len(label) < 2 || len(label) > 63 || label[0] != '_' || strings.Trim(label[1:], "abcdefghijklmnopqrstuvwxyz0123456789-") != "" {
			return "", bad
		}
	}
	domain, fault := checkDomain(parts[2])
	if fault != nil {
		return "", bad
	}
	return parts[0] + "." + parts[1] + "." + domain, nil
}

func checkNextHop(text string) (string, *ValueError) {
	if strings.HasPrefix(text, unixPrefix) {
		path, fault := checkAddress(text)
		if fault != nil {
			fault = &ValueError{"has no absolute path", `write for example "unix:/run/dovecot/lmtp"`}
		}
		return path, fault
	}
	return checkHost(text)
}

// otherNotation reads an address as URLs and other programs have it: "icap://127.0.0.1:1344/avscan", "inet:8891@localhost" and
// "local:/run/x.sock" of milters, and the plain path of a socket. It returns what is to be written here, or "".
func otherNotation(text string) string {
	scheme, rest, _ := strings.Cut(text, ":")
	switch {
	case strings.HasPrefix(text, "/"):
		return "unix:" + text
	case scheme == "local" && strings.HasPrefix(rest, "/"):
		return "unix:" + rest
	case scheme == "inet" || scheme == "inet6":
		port, host, _ := strings.Cut(rest, "@")
		if host == "" || host == "localhost" {
			host = "127.0.0.1"
		}
		return net.JoinHostPort(strings.Trim(host, "[]"), port)
	case strings.HasPrefix(rest, "//"):
		host, _, _ := strings.Cut(rest[2:], "/")
		if _, _, err := net.SplitHostPort(host); err == nil {
			return host
		}
	}
	return ""
}

func checkAddress(text string) (string, *ValueError) {
	if path, ok := strings.CutPrefix(text, "unix:"); ok {
		if !filepath.IsAbs(path) {
			return "", &ValueError{"has no absolute path", `write for example "unix:/run/clamav/clamd.ctl"`}
		}
		return "unix:" + filepath.Clean(path), nil
	}
	if meant := otherNotation(text); meant != "" {
		return "", &ValueError{"is not how an address is written here", "write " + strconv.Quote(meant)}
	}
	host, port, err := net.SplitHostPort(text)
	if err != nil {
		return "", &ValueError{"is not an address with a port", `write for example "127.0.0.1:25", "[::1]:25" or "unix:/run/x.sock"`}
	}
	n, err := strconv.ParseUint(port, 10, 16)
	if err != nil || n == 0 || !allDigits(port) {
		return "", &ValueError{"has no port from 1 to 65535", `write for example "127.0.0.1:25"`}
	}
	name, bad := checkHost(host)
	if bad != nil {
		return "", bad
	}
	return net.JoinHostPort(name, strconv.FormatUint(n, 10)), nil
}

func checkFingerprint(text string) (string, *ValueError) {
	sum, err := hex.DecodeString(strings.ReplaceAll(strings.TrimPrefix(strings.ToLower(text), "sha256:"), ":", ""))
	if err != nil || len(sum) != 32 {
		return "", &ValueError{"is not a SHA-256 fingerprint", "write 64 hexadecimal digits, as openssl x509 -fingerprint -sha256 prints them"}
	}
	return hex.EncodeToString(sum), nil
}

// checkHeader reads a field name: printable US-ASCII without the colon (RFC 5322 section 2.2).
func checkHeader(text string) (string, *ValueError) {
	for i := range len(text) {
		if c := text[i]; c <= ' ' || c >= 0x7f || c == ':' {
			return "", &ValueError{"is not the name of a header field", `write for example "X-Mailer", without the colon`}
		}
	}
	return text, nil
}

// checkServer reads a resolver: an IP address with or without a port; 53 is added (RFC 1035 section 4.2).
func checkServer(text string) (string, *ValueError) {
	if a, err := netip.ParseAddr(text); err == nil && a.Zone() == "" {
		return netip.AddrPortFrom(a.Unmap(), 53).String(), nil
	}
	a, err := netip.ParseAddrPort(text)
	if err != nil || a.Port() == 0 {
		return "", &ValueError{"is not the IP address of a server", `write for example "127.0.0.1" or "127.0.0.1:5353"`}
	}
	return a.String(), nil
}

func checkSyslog(text string) (string, *ValueError) {
	if text == "none" {
		return text, nil
	}
	scheme, rest, _ := strings.Cut(text, ":")
	switch scheme {
	case "unix":
		return checkAddress(text)
	case "udp", "tcp":
		address, bad := checkAddress(rest)
		if bad == nil && !strings.HasPrefix(rest, "unix:") {
			return scheme + ":" + address, nil
		}
	}
	return "", &ValueError{"is not a place for syslog", `write "none", "unix:/dev/log", "udp:192.0.2.1:514" or "tcp:192.0.2.1:514"`}
}
