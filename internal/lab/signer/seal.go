package signer

import (
	"bytes"
	"fmt"
	"strconv"
	"strings"
)

// Seal returns the message with one more ARC set in front (RFC 8617 section 5.1). The results are what stands behind the
// authserv-id in its ARC-Authentication-Results; cv is "none", "pass" or "fail".
func (k *Key) Seal(message []byte, cv, results string) ([]byte, error) {
	fields, _ := split(message)
	n := 1
	for {
		if _, ok := instance(fields, "arc-seal", n); !ok {
			break
		}
		n++
	}
	aar := fmt.Sprintf("ARC-Authentication-Results: i=%d; %s; %s", n, k.Domain, results)
	head := fmt.Sprintf("i=%d; a=%s; c=relaxed/relaxed; d=%s; s=%s;", n, k.algorithm(), k.Domain, k.Selector)
	signed, err := k.put(message, "ARC-Message-Signature", head, usual, -1)
	if err != nil {
		return nil, err
	}
	ams, _ := split(signed)
	seal := fmt.Sprintf("ARC-Seal: i=%d; a=%s; cv=%s; d=%s; s=%s; t=1764000000; b=", n, k.algorithm(), cv, k.Domain, k.Selector)
	var text bytes.Buffer
	for i := 1; i < n && cv != "fail"; i++ { // RFC 8617 section 5.1.2: a failed chain seals its own set only
		for _, name := range [...]string{"arc-authentication-results", "arc-message-signature", "arc-seal"} {
			f, ok := instance(fields, name, i)
			if !ok {
				return nil, fmt.Errorf("seal: no %s of instance %d", name, i)
			}
			text.WriteString(relaxedField(f) + "\r\n")
		}
	}
	text.WriteString(relaxedField(aar) + "\r\n" + relaxedField(ams[0]) + "\r\n" + relaxedField(seal))
	b, err := k.sign(text.Bytes())
	return []byte(seal + fold(b) + "\r\n" + ams[0] + "\r\n" + aar + "\r\n" + string(message)), err
}

// instance finds a field of an ARC set.
func instance(fields []string, name string, n int) (string, bool) {
	for _, f := range fields {
		have, value, _ := strings.Cut(f, ":")
		if strings.EqualFold(have, name) && strings.HasPrefix(strings.TrimSpace(value), "i="+strconv.Itoa(n)+";") {
			return f, true
		}
	}
	return "", false
}
