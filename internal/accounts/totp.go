package accounts

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha1"
	"crypto/subtle"
	"encoding/base32"
	"encoding/binary"
	"fmt"
	"net/url"
	"strings"
	"time"
)

// Of TOTP as every app knows it: SHA-1, six digits, thirty seconds (RFC 6238); one step before and one after are taken too.
const (
	totpSecret = 20
	totpStep   = 30
	totpWindow = 1
)

func newTOTP() []byte {
	b := make([]byte, totpSecret)
	rand.Read(b)
	return b
}

// stepOf is the count of steps at a time (RFC 6238 section 4.2).
func stepOf(t time.Time) int64 { return t.Unix() / totpStep }

// codeAt is the code of a step (RFC 4226 section 5.3).
func codeAt(secret []byte, step int64) string {
	mac := hmac.New(sha1.New, secret)
	mac.Write(binary.BigEndian.AppendUint64(nil, uint64(step)))
	sum := mac.Sum(nil)
	at := sum[len(sum)-1] & 0xf
	return fmt.Sprintf("%06d", binary.BigEndian.Uint32(sum[at:at+4])&0x7fffffff%1_000_000)
}

// totpMatch finds the step within the window whose code it is. It looks at all of them.
func totpMatch(secret []byte, code string, now time.Time) (step int64, ok bool) {
	for d := int64(-totpWindow); d <= totpWindow; d++ {
		s := stepOf(now) + d
		if subtle.ConstantTimeCompare([]byte(codeAt(secret, s)), []byte(code)) == 1 {
			step, ok = s, true
		}
	}
	return step, ok
}

// sixDigits returns a code as apps show it, without the space that they put in its middle.
func sixDigits(text string) (string, bool) {
	if len(text) > 16 {
		return "", false
	}
	s := strings.ReplaceAll(text, " ", "")
	if len(s) != 6 || strings.Trim(s, "0123456789") != "" {
		return "", false
	}
	return s, true
}

// totpText is the secret as people type it.
func totpText(secret []byte) string { return base32.StdEncoding.EncodeToString(secret) }

// totpURI is what a QR code for apps says (the key URI format that all of them read).
func totpURI(issuer, name string, secret []byte) string {
	label := url.PathEscape(issuer) + ":" + url.PathEscape(name)
	return "otpauth://totp/" + label + "?secret=" + totpText(secret) + "&issuer=" + url.QueryEscape(issuer) + "&algorithm=SHA1&digits=6&period=30"
}
