package lab

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sort"
)

// Maildir reads the mailbox of one address.
type Maildir struct {
	path    string
	address string
	log     func() string // of the MTA that delivers to it
}

// Messages are the messages in the order of their delivery, byte for byte as
// they lie there: lines end in LF, and Postfix has put Return-Path,
// Delivered-To and its Received above what it was given.
func (m Maildir) Messages() ([][]byte, error) {
	if m.path == "" {
		return nil, fmt.Errorf("maildir: %s is no mailbox of this Postfix", m.address)
	}
	var files []string
	for _, sub := range []string{"new", "cur"} {
		found, err := filepath.Glob(filepath.Join(m.path, sub, "*"))
		if err != nil {
			return nil, fmt.Errorf("maildir: %w", err)
		}
		files = append(files, found...)
	}
	// A name begins with the time in seconds and, after an M, in microseconds of
	// the delivery; the modification time has both in one.
	when := make(map[string]int64)
	for _, file := range files {
		info, err := os.Stat(file)
		if err != nil {
			return nil, fmt.Errorf("maildir: %w", err)
		}
		when[file] = info.ModTime().UnixNano()
	}
	sort.Slice(files, func(i, j int) bool { return when[files[i]] < when[files[j]] })
	messages := make([][]byte, 0, len(files))
	for _, file := range files {
		message, err := os.ReadFile(file)
		if err != nil {
			return nil, fmt.Errorf("maildir: %w", err)
		}
		messages = append(messages, message)
	}
	return messages, nil
}

// Await waits until there are at least n messages, and returns all. The end of
// ctx is an error that has the MTA's log.
func (m Maildir) Await(ctx context.Context, n int) ([][]byte, error) {
	var messages [][]byte
	err := poll(ctx, func() (bool, error) {
		var err error
		messages, err = m.Messages()
		if errors.Is(err, os.ErrNotExist) {
			return false, nil // moved while we looked
		}
		return len(messages) >= n, err
	})
	if err != nil {
		return nil, fmt.Errorf("maildir: %s has %d messages, not %d: %w\n%s", m.address, len(messages), n, err, m.log())
	}
	return messages, nil
}

// Path is its folder.
func (m Maildir) Path() string { return m.path }
