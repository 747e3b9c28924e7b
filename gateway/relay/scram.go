package relay

import (
	"crypto/hmac"
	"crypto/pbkdf2"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"golang.org/x/text/secure/precis"
)

// What a server may ask for in SCRAM. Fewer iterations than RFC 7677 section 4 allows would make the exchange worth
// listening to; more would keep us busy.
const (
	leastIterations = 4096
	mostIterations  = 1_000_000
	mostSalt        = 1024
)

var errScram = errors.New("SCRAM-SHA-256: next hop broke the exchange")

// scram is one exchange of SCRAM-SHA-256 (RFC 5802, RFC 7677), without channel binding.
func (c *conn) scram(a *Auth) error {
	x := newScram(a, rand.Text())
	asked, err := c.challenge(a, "AUTH SCRAM-SHA-256 "+encoded("n,,"+x.first))
	if err != nil {
		return err
	}
	final, err := x.answer(asked)
	if err != nil {
		return err
	}
	proof, err := c.challenge(a, encoded(final))
	if err != nil {
		return err
	}
	if err := x.verify(proof); err != nil {
		return err
	}
	return c.proven(a, "")
}

// exchange is what SCRAM needs to remember.
type exchange struct {
	nonce     string
	first     string // client-first-message-bare
	password  string
	signature []byte // that the server must show
}

func newScram(a *Auth, nonce string) *exchange {
	user, password := a.User, string(a.Password)
	if p, err := precis.UsernameCasePreserved.String(user); err == nil {
		user = p
	}
	if p, err := precis.OpaqueString.String(password); err == nil {
		password = p
	}
	user = strings.NewReplacer("=", "=3D", ",", "=2C").Replace(user)
	return &exchange{nonce: nonce, first: "n=" + user + ",r=" + nonce, password: password}
}

// answer reads the server-first-message and returns the client-final-message.
func (x *exchange) answer(asked string) (string, error) {
	nonce, salt, n, err := parseServerFirst(asked)
	switch {
	case err != nil:
		return "", err
	case !strings.HasPrefix(nonce, x.nonce) || len(nonce) == len(x.nonce):
		return "", fmt.Errorf("%w: the nonce is not made of ours", errScram)
	}
	salted, err := pbkdf2.Key(sha256.New, x.password, salt, n, sha256.Size)
	if err != nil {
		return "", err
	}
	clientKey := mac(salted, "Client Key")
	stored := sha256.Sum256(clientKey)
	bare := "c=" + encoded("n,,") + ",r=" + nonce
	message := x.first + "," + asked + "," + bare
	proof := mac(stored[:], message)
	for i := range proof {
		proof[i] ^= clientKey[i]
	}
	x.signature = mac(mac(salted, "Server Key"), message)
	return bare + ",p=" + base64.StdEncoding.EncodeToString(proof), nil
}

// verify reads the server-final-message: only who knows the password can sign the exchange.
func (x *exchange) verify(final string) error {
	value, _, _ := strings.Cut(final, ",")
	text, ok := strings.CutPrefix(value, "v=")
	if !ok {
		return fmt.Errorf("%w: it shows no signature", errScram)
	}
	signature, err := base64.StdEncoding.Strict().DecodeString(text)
	if err != nil || len(x.signature) == 0 || !hmac.Equal(signature, x.signature) {
		return fmt.Errorf("%w: it does not prove that it knows the password", errScram)
	}
	return nil
}

// parseServerFirst reads nonce, salt and iteration count (RFC 5802 section 7). An extension that must be understood comes
// first, and is not.
func parseServerFirst(s string) (nonce string, salt []byte, n int, err error) {
	parts := strings.SplitN(s, ",", 4)
	if len(parts) < 3 {
		return "", nil, 0, fmt.Errorf("%w: no nonce, salt and count", errScram)
	}
	nonce, okNonce := strings.CutPrefix(parts[0], "r=")
	text, okSalt := strings.CutPrefix(parts[1], "s=")
	count, okCount := strings.CutPrefix(parts[2], "i=")
	if !okNonce || !okSalt || !okCount || strings.ContainsFunc(nonce, func(r rune) bool { return r <= ' ' || r > '~' }) {
		return "", nil, 0, fmt.Errorf("%w: no nonce, salt and count", errScram)
	}
	salt, err = base64.StdEncoding.Strict().DecodeString(text)
	if err != nil || len(salt) == 0 || len(salt) > mostSalt {
		return "", nil, 0, fmt.Errorf("%w: bad salt", errScram)
	}
	if strings.Trim(count, "0123456789") != "" || len(count) > 9 {
		return "", nil, 0, fmt.Errorf("%w: bad count", errScram)
	}
	if n, err = strconv.Atoi(count); err != nil || n < leastIterations || n > mostIterations {
		return "", nil, 0, fmt.Errorf("%w: its count is not from %d to %d", errScram, leastIterations, mostIterations)
	}
	return nonce, salt, n, nil
}

func mac(key []byte, text string) []byte {
	m := hmac.New(sha256.New, key)
	m.Write([]byte(text))
	return m.Sum(nil)
}
