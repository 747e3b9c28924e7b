package mtasts

import (
	"errors"
	"strings"
)

// maxID is how many octets the id of a policy may have (RFC 8461 section 3.1).
const maxID = 32

// ErrNoRecord says that a domain publishes no MTA-STS record.
var ErrNoRecord = errors.New("mta-sts: there is no TXT record that begins with v=STSv1")

// RecordName is where the TXT record of a domain is.
func RecordName(domain string) string { return "_mta-sts." + domain }

// HostName is the host that a domain's policy is fetched from.
func HostName(domain string) string { return "mta-sts." + domain }

// ParseRecord finds the id of the policy in the TXT records of RecordName, each with its strings put together (RFC 8461
// section 3.1). ErrNoRecord is the absence of any; other errors are of a record that is invalid, or of several.
func ParseRecord(texts []string) (id string, err error) {
	var record string
	for _, t := range texts {
		rest, ok := strings.CutPrefix(t, "v=STSv1")
		if !ok || !strings.HasPrefix(strings.TrimLeft(rest, " \t"), ";") {
			continue
		}
		if record != "" {
			return "", errors.New("mta-sts: there are several TXT records that begin with v=STSv1")
		}
		record = strings.TrimLeft(rest, " \t")[1:]
	}
	if record == "" {
		for _, t := range texts {
			if strings.HasPrefix(t, "v=STSv1") {
				return "", errors.New("mta-sts: the TXT record has no id")
			}
		}
		return "", ErrNoRecord
	}
	fields := strings.Split(record, ";")
	if strings.Trim(fields[len(fields)-1], " \t") == "" {
		fields = fields[:len(fields)-1] // the last delimiter may stand alone
	}
	for _, f := range fields {
		name, value, ok := strings.Cut(strings.Trim(f, " \t"), "=")
		if !ok || name == "" || value == "" {
			return "", errors.New("mta-sts: the TXT record has a field that is no name=value")
		}
		if name != "id" || id != "" { // of a field that is there twice the first counts
			continue
		}
		if len(value) > maxID || strings.ContainsFunc(value, func(r rune) bool { return !isAlphanumeric(r) }) {
			return "", errors.New("mta-sts: the id of the TXT record is not 1 to 32 letters and digits")
		}
		id = value
	}
	if id == "" {
		return "", errors.New("mta-sts: the TXT record has no id")
	}
	return id, nil
}

func isAlphanumeric(r rune) bool {
	return '0' <= r && r <= '9' || 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z'
}

// Record is the text of the TXT record of a policy.
func Record(id string) string { return "v=STSv1; id=" + id + ";" }
