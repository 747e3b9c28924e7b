package acme

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"
	"unicode"

	wire "golang.org/x/crypto/acme"
)

// maxWords bounds an error that is shown.
const maxWords = 600

// clean makes text of somebody else's printable and short.
func clean(text string, most int) string {
	var b strings.Builder
	for i, r := range []rune(strings.ToValidUTF8(text, "?")) {
		if i == most {
			b.WriteString("...")
			break
		}
		if !unicode.IsPrint(r) {
			r = ' '
		}
		b.WriteRune(r)
	}
	return strings.Join(strings.Fields(b.String()), " ")
}

// words says what went wrong, with the authority's own detail (RFC 7807), clean.
func words(err error) string {
	if bad, ok := errors.AsType[*wire.AuthorizationError](err); ok {
		var all []string
		for _, e := range bad.Errors {
			all = append(all, words(e))
		}
		return clean(fmt.Sprintf("%s: the authority could not verify it: %s", bad.Identifier, strings.Join(all, "; ")), maxWords)
	}
	if bad, ok := errors.AsType[*wire.OrderError](err); ok {
		if bad.Problem != nil {
			return clean("the order is "+bad.Status+": "+words(bad.Problem), maxWords)
		}
		return clean("the order is "+bad.Status, maxWords)
	}
	if bad, ok := errors.AsType[*wire.Error](err); ok {
		kind := bad.ProblemType[strings.LastIndexByte(bad.ProblemType, ':')+1:]
		text := strings.TrimSpace(kind + ": " + bad.Detail)
		if kind == "" {
			text = fmt.Sprintf("the authority answers %d: %s", bad.StatusCode, bad.Detail)
		}
		for i, sub := range bad.Subproblems {
			if i == 5 {
				break
			}
			text += "; " + sub.Detail
			if sub.Identifier != nil {
				text += " (" + sub.Identifier.Value + ")"
			}
		}
		before, _ := strings.CutSuffix(err.Error(), bad.Error()) // which name it is about
		if before == err.Error() {
			before = ""
		}
		return clean(before+text, maxWords)
	}
	if errors.Is(err, context.DeadlineExceeded) {
		return "it took too long: " + clean(err.Error(), maxWords)
	}
	return clean(err.Error(), maxWords)
}

// later is how long the authority wants to be left alone (RFC 8555 section 6.6); 0 where it says nothing.
func later(err error) time.Duration {
	bad, ok := errors.AsType[*wire.Error](err)
	if !ok || !strings.HasSuffix(strings.ToLower(bad.ProblemType), ":ratelimited") && bad.StatusCode != http.StatusTooManyRequests &&
		bad.StatusCode != http.StatusServiceUnavailable {
		return 0
	}
	n, err := strconv.Atoi(bad.Header.Get("Retry-After")) // the transport has bounded it
	if err != nil {
		return 0
	}
	return time.Duration(n) * time.Second
}

// isProblem reports whether the authority gave this type of problem (RFC 8555 section 6.7).
func isProblem(err error, kind string) bool {
	bad, ok := errors.AsType[*wire.Error](err)
	return ok && strings.HasSuffix(bad.ProblemType, ":"+kind)
}
