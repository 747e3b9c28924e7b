package dkim

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

// messageOf cuts a message, with LF for CRLF, as the house's parser does.
func messageOf(text string) (*Header, string) {
	header, body, _ := strings.Cut(strings.ReplaceAll(text, "\n", "\r\n"), "\r\n\r\n")
	return NewHeader(headerOf(header + "\r\n")), body
}

// The keys of RFC 6376 appendix C and RFC 8463 appendix A.2.
const (
	rfcRSA  = "v=DKIM1; k=rsa; p=MIGfMA0GCSqGSIb3DQEBAQUAA4GNADCBiQKBgQDwIRP/UC3SBsEmGqZ9ZJW3/DkMoGeLnQg1fWn7/zYtIxN2SnFCjxOCKG9v3b4jYfcTNh5ijSsq631uBItLa7od+v/RtdC2UzJ1lWT947qR+Rcac2gbto/NMqJ0fzfVjH4OuKhitdY9tf6mcwGjaNBcWToIMmPSPDdQPNUYckcQ2QIDAQAB"
	rfcRSA2 = "v=DKIM1; k=rsa; p=MIGfMA0GCSqGSIb3DQEBAQUAA4GNADCBiQKBgQDkHlOQoBTzWRiGs5V6NpP3idY6Wk08a5qhdR6wy5bdOKb2jLQiY/J16JYi0Qvx/byYzCNb3W91y3FutACDfzwQ/BC/e/8uBsCR+yz1Lxj+PL6lHvqMKrM3rG4hstT5QjvHO9PzoxZyVYLzBfO2EeC3Ip3G+2kryOTIKT+l/K4w3QIDAQAB"
	rfcEd   = "v=DKIM1; k=ed25519; p=11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo="
)

// rfc6376 is the message of RFC 6376 appendix A.2, with the empty line at its end that the text of the RFC swallows.
const rfc6376 = `DKIM-Signature: v=1; a=rsa-sha256; s=brisbane; d=example.com;
      c=simple/simple; q=dns/txt; i=joe@football.example.com;
      h=Received : From : To : Subject : Date : Message-ID;
      bh=2jUSOH9NhtVGCQWNr9BrIAPreKQjO6Sn7XIkfJVOzv8=;
      b=AuUoFEfDxTDkHlLXSZEpZj79LICEps6eda7W3deTVFOk4yAUoqOB
      4nujc7YopdG5dWLSdNg6xNAZpOPr+kHxt1IrE+NahM6L/LbvaHut
      KVdkLLkpVaVVQPzeRDI009SO2Il5Lu7rDNH6mZckBdrIx0orEtZV
      4bmp/YzhwvcubU4=;
Received: from client1.football.example.com  [192.0.2.1]
      by submitserver.example.com with SUBMISSION;
      Fri, 11 Jul 2003 21:01:54 -0700 (PDT)
From: Joe SixPack <joe@football.example.com>
To: Suzie Q <suzie@shopping.example.net>
Subject: Is dinner ready?
Date: Fri, 11 Jul 2003 21:00:37 -0700 (PDT)
Message-ID: <20030712040037.46341.5F8J@football.example.com>

Hi.

We lost the game. Are you hungry yet?

Joe.
`

// rfc8463 is the message of RFC 8463 appendix A.3.
const rfc8463 = `DKIM-Signature: v=1; a=ed25519-sha256; c=relaxed/relaxed;
 d=football.example.com; i=@football.example.com;
 q=dns/txt; s=brisbane; t=1528637909; h=from : to :
 subject : date : message-id : from : subject : date;
 bh=2jUSOH9NhtVGCQWNr9BrIAPreKQjO6Sn7XIkfJVOzv8=;
 b=/gCrinpcQOoIfuHNQIbq4pgh9kyIK3AQUdt9OdqQehSwhEIug4D11Bus
 Fa3bT3FY5OsU7ZbnKELq+eXdp1Q1Dw==
DKIM-Signature: v=1; a=rsa-sha256; c=relaxed/relaxed;
 d=football.example.com; i=@football.example.com;
 q=dns/txt; s=test; t=1528637909; h=from : to : subject :
 date : message-id : from : subject : date;
 bh=2jUSOH9NhtVGCQWNr9BrIAPreKQjO6Sn7XIkfJVOzv8=;
 b=F45dVWDfMbQDGHJFlXUNB2HKfbCeLRyhDXgFpEL8GwpsRe0IeIixNTe3
 DhCVlUrSjV4BwcVcOF6+FF3Zo9Rpo1tFOeS9mPYQTnGdaSGsgeefOsk2Jz
 dA+L10TeYt9BgDfQNZtKdN1WO//KgIqXP7OdEFE4LjFYNcUxZQ4FADY+8=
From: Joe SixPack <joe@football.example.com>
To: Suzie Q <suzie@shopping.example.net>
Subject: Is dinner ready?
Date: Fri, 11 Jul 2003 21:00:37 -0700 (PDT)
Message-ID: <20030712040037.46341.5F8J@football.example.com>

Hi.

We lost the game.  Are you hungry yet?

Joe.
`

var rfcKeys = zone{"brisbane._domainkey.example.com": rfcRSA, "test._domainkey.football.example.com": rfcRSA2,
	"brisbane._domainkey.football.example.com": rfcEd}

// TestRFCs verifies the RFCs' own examples, and shows that no octet of them may change.
func TestRFCs(t *testing.T) {
	now := Options{Now: time.Unix(1_600_000_000, 0)}
	verify := func(text string) string {
		h, body := messageOf(text)
		results, _ := Verify(t.Context(), h, strings.NewReader(body), rfcKeys, now)
		var out []string
		for _, r := range results {
			out = append(out, fmt.Sprintf("%s %s %s %d", r.Status, r.Domain, r.Algorithm, r.Bits))
		}
		return strings.Join(out, "; ")
	}
	for text, want := range map[string]string{
		rfc6376: "pass example.com rsa-sha256 1024",
		rfc8463: "pass football.example.com ed25519-sha256 256; pass football.example.com rsa-sha256 1024",
		strings.ReplaceAll(rfc8463, "To: Suzie Q", "TO:\tSuzie\n  Q  "): "pass football.example.com ed25519-sha256 256; pass football.example.com rsa-sha256 1024",
		rfc8463 + "\n\n":   "pass football.example.com ed25519-sha256 256; pass football.example.com rsa-sha256 1024",
		rfc8463 + "more\n": "fail football.example.com ed25519-sha256 256; fail football.example.com rsa-sha256 1024",
		strings.ReplaceAll(rfc8463, "dinner", "Dinner"):                    "fail football.example.com ed25519-sha256 256; fail football.example.com rsa-sha256 1024",
		strings.ReplaceAll(rfc8463, "From: ", "From: x@y.example\nFrom: "): "fail football.example.com ed25519-sha256 256; fail football.example.com rsa-sha256 1024", // oversigned
		strings.ReplaceAll(rfc6376, "To: Suzie Q", "TO: Suzie Q"):          "fail example.com rsa-sha256 1024",
		strings.ReplaceAll(rfc6376, "From: ", "From: x@y.example\nFrom: "): "policy example.com rsa-sha256 1024", // not oversigned
	} {
		if got := verify(text); got != want {
			t.Errorf("%.100s\n%s, want %s", text, got, want)
		}
	}
	// Whatever changes in a message, nothing but white space and the case of names may leave both signatures of RFC 8463 as
	// they are, and nothing at all that of RFC 6376.
	for i := len("DKIM-Signature"); i < len(rfc6376); i++ {
		if strings.HasPrefix(rfc6376[i:], "4=;") {
			continue // bits that base64 leaves over
		}
		text := rfc6376[:i] + string(rfc6376[i]^1) + rfc6376[i+1:]
		if strings.HasPrefix(verify(text), "pass") {
			t.Errorf("octet %d may change: %.60q", i, rfc6376[i:])
		}
	}
	body := strings.Index(rfc8463, "\n\n")
	for i := strings.Index(rfc8463, "From: "); i < len(rfc8463); i++ {
		c := rfc8463[i]
		if c|0x20 < 'a' || c|0x20 > 'z' || i < body && !strings.Contains(rfc8463[strings.LastIndexByte(rfc8463[:i], '\n')+1:i], ":") {
			continue
		}
		if text := rfc8463[:i] + string(c^0x20) + rfc8463[i+1:]; strings.Contains(verify(text), "pass") {
			t.Errorf("octet %d may change: %.60q", i, rfc8463[i:])
		}
	}
}
