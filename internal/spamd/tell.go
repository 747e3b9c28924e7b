package spamd

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
)

// Lesson is what spamd is told of a message. The zero value forgets what was learned of it.
type Lesson uint8

// The lessons.
const (
	Forget Lesson = iota
	Spam
	Ham
)

// Tell tells spamd that a message is spam, or that it is not, or that what was learned of it is to be forgotten (TELL of
// protocol 1.3). did says that this was new: a message that was learned before is no error. A spamd without --allow-tell
// answers with a *CodeError. The errors are those of Check.
func (c *Client) Tell(ctx context.Context, req Request, lesson Lesson) (did bool, err error) {
	head := "TELL SPAMC/1.5\r\nRemove: local"
	switch lesson {
	case Spam:
		head = "TELL SPAMC/1.5\r\nMessage-class: spam\r\nSet: local"
	case Ham:
		head = "TELL SPAMC/1.5\r\nMessage-class: ham\r\nSet: local"
	}
	err = c.exchange(ctx, head, req, func(conn io.Reader) (err error) {
		did, err = readTold(conn)
		return err
	})
	if err != nil {
		return false, fmt.Errorf("spamd: tell %s: %w", c.cfg.Address, err)
	}
	return did, nil
}

// readTold reads the reply to TELL to the end of the connection.
func readTold(conn io.Reader) (did bool, err error) {
	r := bufio.NewReaderSize(conn, maxLine)
	if err := readStatus(r, "EX_OK"); err != nil {
		return false, err
	}
	for range maxLines {
		line, err := readLine(r)
		if err != nil {
			return false, err
		}
		if line == "" {
			n, err := io.Copy(io.Discard, io.LimitReader(r, maxBody+1))
			if err == nil && n > maxBody {
				err = errors.New("too long")
			}
			if err != nil {
				return false, fmt.Errorf("%w: %w", ErrReply, err)
			}
			return did, nil
		}
		name, _, _ := strings.Cut(line, ":")
		did = did || strings.EqualFold(name, "DidSet") || strings.EqualFold(name, "DidRemove")
	}
	return false, fmt.Errorf("%w: more than %d lines", ErrReply, maxLines)
}
