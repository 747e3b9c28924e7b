package audit

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
)

// maxOutbox is how many octets wait in the file at most: some hundred thousand entries.
const maxOutbox = 256 << 20

// maxLine is longer than any entry is written.
const maxLine = 1 << 20

// errFull says that the file has no room for more.
var errFull = errors.New("as many entries wait as may")

// outbox is the file of entries that are on their way to the store, one a line. An entry is on disk when it was put there; what
// a crash left of a line is cut off. After a crash the file begins anew at its first entry: the store leaves out what it has.
type outbox struct {
	name string

	mu    sync.Mutex
	found bool  // what an earlier process left was looked at
	size  int64 // up to the end of the last whole line
	sent  int64 // of that, up to here is in the store
	count int64 // entries behind sent
}

// find looks what an earlier process left, once. Before it succeeded nothing is written, which would go over it. The lock is held.
func (o *outbox) find() error {
	if o.found {
		return nil
	}
	f, err := os.Open(o.name)
	if errors.Is(err, os.ErrNotExist) {
		o.found = true
		return nil
	}
	if err != nil {
		return err
	}
	defer f.Close()
	buffer := make([]byte, 64<<10)
	var at, size, count int64
	for {
		n, err := f.Read(buffer)
		count += int64(bytes.Count(buffer[:n], []byte{'\n'}))
		if last := bytes.LastIndexByte(buffer[:n], '\n'); last >= 0 {
			size = at + int64(last) + 1
		}
		at += int64(n)
		if errors.Is(err, io.EOF) {
			o.found, o.size, o.count = true, size, count
			return nil
		}
		if err != nil {
			return err
		}
	}
}

// put writes entries to the end, and to disk. After an error none of them is there.
func (o *outbox) put(entries []note) error {
	var b bytes.Buffer
	for i := range entries {
		b.WriteString(text(&entries[i].Entry) + "\n")
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	if err := o.find(); err != nil {
		return err
	}
	if o.size+int64(b.Len()) > maxOutbox {
		return errFull
	}
	f, err := os.OpenFile(o.name, os.O_WRONLY|os.O_CREATE, 0o600)
	if err != nil {
		return err
	}
	err = f.Truncate(o.size) // of what a write that failed, or a crash, left
	if err == nil {
		_, err = f.WriteAt(b.Bytes(), o.size)
	}
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	o.size, o.count = o.size+int64(b.Len()), o.count+int64(len(entries))
	return nil
}

// next reads the next entries that are to be sent, at most so many. end and lines are for done. What is no entry is told by bad
// and left out.
func (o *outbox) next(most int) (entries []Entry, end, lines int64, bad []string, err error) {
	o.mu.Lock()
	err = o.find()
	end, last := o.sent, o.size
	o.mu.Unlock()
	if err != nil || end == last {
		return nil, end, 0, nil, err
	}
	f, err := os.Open(o.name)
	if err != nil {
		return nil, end, 0, nil, err
	}
	defer f.Close()
	in := bufio.NewReaderSize(io.NewSectionReader(f, end, last-end), maxLine)
	for len(entries) < most && end < last {
		line, err := in.ReadSlice('\n')
		length := int64(len(line))
		long := errors.Is(err, bufio.ErrBufferFull)
		begin := cut(string(line), 200)
		for errors.Is(err, bufio.ErrBufferFull) {
			line, err = in.ReadSlice('\n')
			length += int64(len(line))
		}
		if err != nil {
			return nil, end, 0, bad, fmt.Errorf("%s at octet %d: %w", o.name, end, err)
		}
		end, lines = end+length, lines+1
		var e Entry
		if long || json.Unmarshal(line, &e) != nil || e.Source == "" || e.Time.IsZero() {
			bad = append(bad, begin)
			continue
		}
		e.clean()
		entries = append(entries, e)
	}
	return entries, end, lines, bad, nil
}

// done notes that everything up to end is in the store. When all is, the file is emptied.
func (o *outbox) done(end, lines int64) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.sent, o.count = end, o.count-lines
	if o.sent < o.size {
		return nil
	}
	if err := os.Truncate(o.name, 0); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	o.size, o.sent, o.count = 0, 0, 0
	return nil
}

// waiting is how many entries are not in the store yet.
func (o *outbox) waiting() int64 {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.count
}
