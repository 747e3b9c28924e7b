package dkim

import (
	"bytes"
	"crypto"
	"encoding/base64"
	"fmt"
	"strings"
	"testing"
	"time"
)

// signed signs a message by the engine's own parts. tags stand in front of h=, bh= and b=.
func signed(t testing.TB, key crypto.Signer, tags, names, header, body string) string {
	t.Helper()
	h := NewHeader(headerOf(header))
	list, err := ParseTags(tags)
	if err != nil {
		t.Fatal(err)
	}
	get := func(name, absent string) string {
		if v, ok := list.Get(name); ok {
			return v
		}
		return absent
	}
	hc, bc, err := ParseCanon(get("c", "simple"))
	if err != nil {
		t.Fatal(err)
	}
	limit := int64(-1)
	if l := get("l", ""); l != "" {
		fmt.Sscan(l, &limit)
	}
	sum := sumOf(t, strings.NewReader(body), bc, limit)
	field := Field{Name: "DKIM-Signature", Raw: fmt.Appendf(nil, "DKIM-Signature: %s\r\n\th=%s;\r\n\tbh=%s; b=\r\n", tags, names, base64.StdEncoding.EncodeToString(sum.Hash[:]))}
	w := NewHeaderHasher(hc)
	for _, i := range h.Select(strings.Split(names, ":"), -1) {
		if i >= 0 {
			w.Field(&h.Fields[i])
		}
	}
	w.Own(&field, nil)
	sig, _, err := Sign(key, w.Sum())
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSuffix(string(field.Raw), "\r\n") + base64.StdEncoding.EncodeToString(sig) + "\r\n" + header + "\r\n" + body
}

func usual(octets int) (header, body string) {
	header = strings.Repeat("Received: from a.example (a.example [192.0.2.1])\r\n\tby b.example (Postfix) with ESMTPS id 4F1234567\r\n\tfor <anna@served.example>; Tue, 24 Nov 2026 00:00:00 +0000 (UTC)\r\n", 4) +
		"From: Anna <anna@d.example>\r\nTo: Bert <bert@served.example>\r\nSubject: A message of the usual kind\r\nDate: Tue, 24 Nov 2026 00:00:00 +0000\r\n" +
		"Message-ID: <1@d.example>\r\nMIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n" +
		"List-Unsubscribe: <https://d.example/unsubscribe>\r\nX-Mailer: one that says so\r\n"
	line := "A line of text as people write it, with a few words and spaces in it, not too long.\r\n"
	return header, strings.Repeat(line, octets/len(line))
}

const usualNames = "from:to:subject:date:message-id:mime-version:content-type:content-transfer-encoding"

// BenchmarkVerify is all of it with the key records at hand: index, parse, body, keys, maths.
func BenchmarkVerify(b *testing.B) {
	z := zone{"r._domainkey.d.example": record(b, rsaKey(b, 2048)), "s._domainkey.d.example": record(b, rsaKey(b, 1024)), "e._domainkey.d.example": record(b, ed25519Key())}
	for _, size := range []int{10 << 10, 1 << 20} {
		header, body := usual(size)
		one := signed(b, rsaKey(b, 2048), "v=1; a=rsa-sha256; c=relaxed/relaxed; d=d.example; s=r; t=1790000000;", usualNames, header, body)
		ed := signed(b, ed25519Key(), "v=1; a=ed25519-sha256; c=relaxed/relaxed; d=d.example; s=e; t=1790000000;", usualNames, header, body)
		two, _, _ := strings.Cut(signed(b, rsaKey(b, 2048), "v=1; a=rsa-sha256; c=relaxed/simple; d=d.example; s=r; t=1790000000;", usualNames, header, body), "Received: ")
		three, _, _ := strings.Cut(signed(b, rsaKey(b, 1024), "v=1; a=rsa-sha256; c=simple/simple; d=d.example; s=s; t=1790000000;", usualNames, header, body), "Received: ")
		for _, c := range []struct {
			name, text string
			n          int
		}{{"none", header + "\r\n" + body, 0}, {"one", one, 1}, {"ed25519", ed, 1}, {"three", two + three + one, 3}} {
			head, content, _ := strings.Cut(c.text, "\r\n\r\n")
			fields, data := headerOf(head+"\r\n"), []byte(content)
			b.Run(fmt.Sprintf("%dKB/%s", size>>10, c.name), func(b *testing.B) {
				b.ReportAllocs()
				for b.Loop() {
					results, _ := Verify(b.Context(), NewHeader(fields), bytes.NewReader(data), z, Options{Now: time.Unix(1790000000, 0)})
					if len(results) != c.n {
						b.Fatal(len(results))
					}
					for _, r := range results {
						if r.Status != Pass {
							b.Fatal(r)
						}
					}
				}
			})
		}
	}
}
