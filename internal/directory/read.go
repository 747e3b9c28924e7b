package directory

import (
	"bufio"
	"bytes"
	"context"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"
	"strings"
)

// Source is where a directory comes from.
type Source interface {
	// Read gives all addresses, as they are written there, and reports what a person should know of how it went. An error of
	// add ends it. An error means that what was added is not all, and none of it counts.
	Read(ctx context.Context, add func(address string) error) (told string, err error)
	// Changed returns what tells one state of the source from another, "" where only reading can tell.
	Changed() string
}

// Bounds of a file.
const (
	maxLines  = 5_000_000
	maxLine   = 4096 // octets
	maxRecord = 64 << 10
	maxBytes  = 1 << 30
)

// LineError is what is wrong with a line of a file. Lines count from 1.
type LineError struct {
	Line int
	Err  error
}

func (e *LineError) Error() string { return "line " + strconv.Itoa(e.Line) + ": " + e.Err.Error() }

func (e *LineError) Unwrap() error { return e.Err }

// File is a text file with one address a line. White space around it does not count, nor do empty lines, and what stands
// behind # at the beginning of a line or behind white space is a remark.
type File struct{ Path string }

// Read implements Source.
func (f File) Read(ctx context.Context, add func(string) error) (string, error) {
	return "", withFile(f.Path, func(r io.Reader) error { return readLines(ctx, r, add) })
}

// Changed implements Source.
func (f File) Changed() string { return state(f.Path) }

// CSV is a table with one recipient a line, as RFC 4180 writes it.
type CSV struct {
	Path string
	// Comma separates columns; 0: a comma.
	Comma rune
	// Column is the name of the column with the address in the first line, without regard to case, or its number from 1,
	// where there is no line of names.
	Column string
	// Status is the same of a column that says whether the recipient counts: when what it says is one of Active. "": all count.
	Status string
	Active []string // without regard to case
}

// Read implements Source.
func (c CSV) Read(ctx context.Context, add func(string) error) (string, error) {
	told := ""
	err := withFile(c.Path, func(r io.Reader) (err error) {
		told, err = c.read(ctx, r, add)
		return err
	})
	return told, err
}

// Changed implements Source.
func (c CSV) Changed() string { return state(c.Path) }

func withFile(path string, read func(io.Reader) error) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	info, err := f.Stat()
	switch {
	case err != nil:
		return err
	case !info.Mode().IsRegular(): // a pipe would be waited for
		return fmt.Errorf("%s is no file", path)
	case info.Size() > maxBytes:
		return fmt.Errorf("%s has more than %d octets", path, maxBytes)
	}
	if err = read(io.LimitReader(f, maxBytes)); err != nil {
		if at, ok := errors.AsType[*LineError](err); ok {
			return fmt.Errorf("%s:%d: %w", path, at.Line, at.Err)
		}
		return fmt.Errorf("%s: %w", path, err)
	}
	// One that is written while it is read is not whole.
	if after, err := os.Stat(path); err != nil || after.Size() != info.Size() || !after.ModTime().Equal(info.ModTime()) {
		return fmt.Errorf("%s changed while it was read", path)
	}
	return nil
}

// readLines reads a File.
func readLines(ctx context.Context, r io.Reader, add func(string) error) error {
	lines := bufio.NewScanner(withoutMark(r))
	lines.Buffer(make([]byte, 0, 4096), maxLine)
	n := 0
	for lines.Scan() {
		if n++; n > maxLines {
			return fmt.Errorf("has more than %d lines", maxLines)
		}
		if n%4096 == 0 && ctx.Err() != nil {
			return ctx.Err()
		}
		text := strings.TrimSpace(lines.Text())
		if i := strings.Index(text, " #"); i >= 0 {
			text = strings.TrimSpace(text[:i])
		} else if i := strings.Index(text, "\t#"); i >= 0 {
			text = strings.TrimSpace(text[:i])
		}
		if text == "" || text[0] == '#' {
			continue
		}
		if err := add(text); err != nil {
			return &LineError{n, err}
		}
	}
	if err := lines.Err(); errors.Is(err, bufio.ErrTooLong) {
		return &LineError{n + 1, fmt.Errorf("has more than %d octets", maxLine)}
	} else if err != nil {
		return err
	}
	return nil
}

// read reads a CSV.
func (c CSV) read(ctx context.Context, r io.Reader, add func(string) error) (string, error) {
	bound := &recordBound{r: withoutMark(r), line: 1}
	table := csv.NewReader(bound)
	table.ReuseRecord, table.FieldsPerRecord = true, 0 // as many as the first line has
	if c.Comma != 0 {
		table.Comma = c.Comma
	}
	address, status, left := -1, -1, 0
	for n := 0; ; n++ {
		row, err := table.Read()
		switch {
		case errors.Is(err, io.EOF):
			if n == 0 {
				return "", nil
			}
			return c.told(left), nil
		case err != nil:
			return "", lineOf(err)
		case n > maxLines:
			return "", fmt.Errorf("has more than %d lines", maxLines)
		case n%4096 == 0 && ctx.Err() != nil:
			return "", ctx.Err()
		}
		line, _ := table.FieldPos(0)
		bound.n, bound.line = 0, line+1
		if n == 0 {
			named := false
			if address, status, named, err = c.columns(row); err != nil {
				return "", &LineError{line, err}
			}
			if named {
				continue
			}
		}
		if status >= 0 && !slices.ContainsFunc(c.Active, func(a string) bool { return strings.EqualFold(a, strings.TrimSpace(row[status])) }) {
			left++
			continue
		}
		if err := add(strings.TrimSpace(row[address])); err != nil {
			return "", &LineError{line, err}
		}
	}
}

func (c CSV) told(left int) string {
	if left == 0 {
		return ""
	}
	return strconv.Itoa(left) + " left out by their " + c.Status
}

// columns finds the columns in the first line, and whether that is a line of names.
func (c CSV) columns(first []string) (address, status int, named bool, err error) {
	find := func(column string) (int, error) {
		if n, err := strconv.Atoi(column); err == nil {
			if n < 1 || n > len(first) {
				return 0, fmt.Errorf("there is no column %d: the line has %d", n, len(first))
			}
			return n - 1, nil
		}
		named = true
		for i, name := range first {
			if strings.EqualFold(strings.TrimSpace(name), column) {
				return i, nil
			}
		}
		return 0, fmt.Errorf("there is no column %q: the columns are %q", column, first[:min(len(first), 12)])
	}
	status = -1
	if address, err = find(c.Column); err == nil && c.Status != "" {
		status, err = find(c.Status)
	}
	return address, status, named, err
}

// lineOf gives the error of the parser our form.
func lineOf(err error) error {
	if at, ok := errors.AsType[*csv.ParseError](err); ok {
		return &LineError{at.Line, at.Err}
	}
	return err
}

// withoutMark drops a byte order mark, which Windows writes.
func withoutMark(r io.Reader) io.Reader {
	b := bufio.NewReader(r)
	if mark, _ := b.Peek(3); bytes.Equal(mark, []byte("\xef\xbb\xbf")) {
		_, _ = b.Discard(3)
	}
	return b
}

// recordBound ends a reader with an error where a record does not end: a quote that is never closed would be read to the end.
type recordBound struct {
	r    io.Reader
	n    int // octets since the last whole record
	line int // that began then
}

func (b *recordBound) Read(p []byte) (int, error) {
	if b.n > maxRecord {
		return 0, &LineError{b.line, fmt.Errorf("begins what has no end within %d octets; a quote may not be closed", maxRecord)}
	}
	n, err := b.r.Read(p)
	b.n += n
	return n, err
}
