package lab

import (
	"bytes"
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// Directive is the word "nexthop" of dialog scripts:
//
//	-- nexthop got 2 messages         that many were taken over, and no more
//	-- nexthop last contains TEXT     the last one's body has TEXT
//	-- nexthop last lacks TEXT
//	-- nexthop last MAIL TEXT         its MAIL command is TEXT; so for RCPT
//	-- nexthop saw TEXT               a command line that begins with TEXT came
//	-- nexthop never-saw TEXT
//	-- nexthop on STEP reply TEXT     what happens at a step from now on
//	-- nexthop on STEP hang           close, reset and usual likewise
//
// TEXT may have \r, \n and \t. Messages that must be there are waited for.
func (h *NextHop) Directive(ctx context.Context, args []string) error {
	if len(args) < 2 {
		return fmt.Errorf("nexthop %q: want got, last, saw, never-saw or on", args)
	}
	text := octets(args[min(2, len(args)-1):])
	switch args[0] {
	case "got":
		return h.checkCount(ctx, args[1])
	case "last":
		return h.checkLast(args[1], text)
	case "saw", "never-saw":
		want := strings.Join(args[1:], " ")
		for _, command := range h.Commands() {
			if strings.HasPrefix(command, want) {
				if args[0] == "saw" {
					return nil
				}
				return fmt.Errorf("nexthop saw %q", command)
			}
		}
		if args[0] == "saw" {
			return fmt.Errorf("nexthop saw no %q, only %q", want, h.Commands())
		}
		return nil
	case "on":
		return h.script(args[1:])
	}
	return fmt.Errorf("nexthop %s: want got, last, saw, never-saw or on", args[0])
}

// octets is TEXT, with its escapes replaced.
func octets(words []string) string {
	return strings.NewReplacer(`\r`, "\r", `\n`, "\n", `\t`, "\t").Replace(strings.Join(words, " "))
}

// settle is how long a message that must not come is given to come.
const settle = 50 * time.Millisecond

func (h *NextHop) checkCount(ctx context.Context, number string) error {
	want, err := strconv.Atoi(number)
	if err != nil || want < 0 {
		return fmt.Errorf("nexthop got %s: want a number", number)
	}
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	if _, err := h.AwaitAccepted(ctx, want); err != nil {
		return err
	}
	time.Sleep(settle)
	if got := len(h.Accepted()); got != want {
		return fmt.Errorf("nexthop got %d messages, not %d", got, want)
	}
	return nil
}

func (h *NextHop) checkLast(what, text string) error {
	all := h.Accepted()
	if len(all) == 0 {
		return fmt.Errorf("nexthop got no message")
	}
	last := all[len(all)-1]
	ok := false
	switch what {
	case "contains":
		ok = bytes.Contains(last.Body, []byte(text))
	case "lacks":
		ok = !bytes.Contains(last.Body, []byte(text))
	case "MAIL":
		ok = last.Mail == text || last.Mail == "MAIL "+text
	case "RCPT":
		for _, rcpt := range last.Rcpts {
			ok = ok || rcpt == text || rcpt == "RCPT "+text
		}
	default:
		return fmt.Errorf("nexthop last %s: want contains, lacks, MAIL or RCPT", what)
	}
	if !ok {
		return fmt.Errorf("nexthop last %s %q: the message is\n%s\n%q\n%.4000q", what, text, last.Mail, last.Rcpts, last.Body)
	}
	return nil
}

// script sets a step: STEP, then what happens.
func (h *NextHop) script(args []string) error {
	if len(args) < 2 {
		return fmt.Errorf("nexthop on %q: want a step and what happens", args)
	}
	switch args[1] {
	case "reply":
		h.On(args[0], Reply(octets(args[2:])))
	case "hang":
		h.On(args[0], Silence())
	case "close":
		h.On(args[0], Gone())
	case "reset":
		h.On(args[0], Action{Bytes: []byte{}, Then: Reset})
	case "usual":
		h.On(args[0])
	default:
		return fmt.Errorf("nexthop on %s %s: want reply, hang, close, reset or usual", args[0], args[1])
	}
	return nil
}
