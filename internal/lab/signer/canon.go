package signer

import (
	"bytes"
	"regexp"
	"strings"
)

// split cuts a message into its fields, each with its folded lines and without its last CRLF, and its body.
func split(message []byte) (fields []string, body []byte) {
	head, body, _ := bytes.Cut(message, []byte("\r\n\r\n"))
	for line := range strings.SplitSeq(string(head), "\r\n") {
		if n := len(fields); n > 0 && line != "" && (line[0] == ' ' || line[0] == '\t') {
			fields[n-1] += "\r\n" + line
			continue
		}
		fields = append(fields, line)
	}
	return fields, body
}

// fromBottom returns the field of a name, the last one first, leaving out as many as were used.
func fromBottom(fields []string, name string, used int) (string, bool) {
	for i := len(fields) - 1; i >= 0; i-- {
		n, _, _ := strings.Cut(fields[i], ":")
		if !strings.EqualFold(strings.TrimSpace(n), strings.TrimSpace(name)) {
			continue
		}
		if used--; used < 0 {
			return fields[i], true
		}
	}
	return "", false
}

// relaxedField is RFC 6376 section 3.4.2, without the CRLF at the end.
func relaxedField(field string) string {
	name, value, _ := strings.Cut(field, ":")
	value = strings.ReplaceAll(value, "\r\n", "")
	return strings.ToLower(strings.TrimRight(name, " \t")) + ":" + strings.Trim(blanks().ReplaceAllString(value, " "), " ")
}

// relaxedBody is RFC 6376 section 3.4.4.
func relaxedBody(body []byte) []byte {
	var out bytes.Buffer
	for line := range strings.SplitSeq(string(body), "\r\n") {
		out.WriteString(strings.TrimRight(blanks().ReplaceAllString(line, " "), " ") + "\r\n")
	}
	text := bytes.TrimRight(out.Bytes(), "\r\n")
	if len(text) == 0 {
		return nil
	}
	return append(text, "\r\n"...)
}

func blanks() *regexp.Regexp { return regexp.MustCompile(`[ \t]+`) }
