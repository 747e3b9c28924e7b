package smtpwire

import (
	"errors"
	"fmt"
	"strings"
)

// What can be wrong with the parameters of MAIL and RCPT.
var (
	// ErrParam: bad syntax of a parameter or of its value (501 5.5.4).
	ErrParam = errors.New("parameter: bad syntax")
	// ErrParamTwice: a keyword is there twice (501 5.5.4).
	ErrParamTwice = errors.New("parameter: given twice")
)

const (
	maxParams  = 16
	maxKeyword = 32
	maxEnvID   = 100 // RFC 3461 section 4.4, encoded
	maxORCPT   = 500 // RFC 3461 section 4.2, encoded
)

// Param is one ESMTP parameter (RFC 5321 section 4.1.2).
type Param struct {
	Keyword string // upper case
	Value   string
	Valued  bool // there was a = (and so a Value, never empty)
}

// parseParams reads what follows a path: nothing, or a space and parameters.
func parseParams(s string) (params []Param, lax Lax, err error) {
	if s == "" {
		return nil, 0, nil
	}
	if s[0] != ' ' {
		return nil, 0, fmt.Errorf("%w: no space after the path", ErrParam)
	}
	for word := range strings.SplitSeq(s[1:], " ") {
		if word == "" {
			lax |= LaxSpace
			continue
		}
		p := Param{}
		p.Keyword, p.Value, p.Valued = strings.Cut(word, "=")
		if !isKeyword(p.Keyword) {
			return nil, 0, fmt.Errorf("%w: keyword %q", ErrParam, Clean(p.Keyword, maxKeyword))
		}
		p.Keyword = strings.ToUpper(p.Keyword)
		if p.Valued && (p.Value == "" || strings.Contains(p.Value, "=") || hasControl(p.Value)) {
			return nil, 0, fmt.Errorf("%w: value of %s", ErrParam, p.Keyword)
		}
		for _, other := range params {
			if other.Keyword == p.Keyword {
				return nil, 0, fmt.Errorf("%w: %s", ErrParamTwice, p.Keyword)
			}
		}
		if len(params) == maxParams {
			return nil, 0, fmt.Errorf("%w: more than %d", ErrParam, maxParams)
		}
		params = append(params, p)
	}
	return params, lax, nil
}

func isKeyword(s string) bool {
	if s == "" || len(s) > maxKeyword || s[0] == '-' {
		return false
	}
	for i := range len(s) {
		c := s[i] | 0x20
		if ('a' > c || c > 'z') && ('0' > s[i] || s[i] > '9') && s[i] != '-' {
			return false
		}
	}
	return true
}
