package quarantine

import (
	"bytes"
	"context"
	"crypto/cipher"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"os"

	"github.com/klauspost/compress/zstd"

	"gatepost/gateway"
	"gatepost/internal/durable"
)

// stored is a message's file that was opened.
type stored struct {
	head
	file  *os.File
	aead  cipher.AEAD
	start int64 // of what is encrypted
	size  int64 // of the whole file
	*Meta
}

// openFile opens a file and reads what is known of its message. What it returns of a file that is not what was written is a
// *damage; ErrNoKey says that its key is not there; every other error that it could not be read.
func openFile(name string, id gateway.ID, keys *Keys) (*stored, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	s, err := readStored(f, id, keys)
	if err != nil {
		f.Close()
		return nil, err
	}
	return s, nil
}

func readStored(f *os.File, id gateway.ID, keys *Keys) (*stored, error) {
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, damaged("not a file")
	}
	s := &stored{file: f, size: info.Size()}
	if err := s.readHead(id); err != nil {
		return nil, err
	}
	if s.aead, err = s.unwrap(keys); err != nil {
		return nil, err
	}
	m, body, err := s.open()
	if err != nil {
		return nil, err
	}
	body.Close()
	s.Meta = m
	return s, nil
}

// Close gives the file back.
func (s *stored) Close() error { return s.file.Close() }

// readHead reads the lines that nothing encrypts.
func (s *stored) readHead(id gateway.ID) error {
	text := make([]byte, min(s.size, maxHead))
	if n, err := s.file.ReadAt(text, 0); err != nil && !(err == io.EOF && n == len(text)) {
		return err
	}
	h, n, err := parseHead(text)
	if err != nil {
		return err
	}
	if h.ID != id {
		return damaged("it holds message %v", h.ID)
	}
	if s.head, s.start = h, int64(n); s.size < s.start+tag+trailerSize {
		return damaged("it ends after %d octets", s.size)
	}
	return nil
}

// parseHead reads the lines that nothing encrypts, and returns how long they are.
func parseHead(text []byte) (h head, n int, err error) {
	rest, ok := bytes.CutPrefix(text, []byte(magic))
	end := bytes.IndexByte(rest, '\n')
	if !ok || end < 0 {
		return h, 0, damaged("it does not begin as a message of the vault")
	}
	if err := json.Unmarshal(rest[:end], &h); err != nil {
		return h, 0, damaged("its second line cannot be read")
	}
	return h, len(magic) + end + 1, nil
}

// opener decrypts what a sealer wrote, of which it knows the length.
type opener struct {
	from  io.ReaderAt
	at    int64
	left  int64 // octets that are encrypted
	aead  cipher.AEAD
	about []byte
	buf   []byte
	clear []byte // decrypted, not yet read
	count uint64
	err   error
}

func (o *opener) Read(p []byte) (int, error) {
	for len(o.clear) == 0 {
		if o.err != nil {
			return 0, o.err
		}
		if o.left == 0 {
			return 0, io.EOF
		}
		if o.err = o.next(); o.err != nil {
			return 0, o.err
		}
	}
	n := copy(p, o.clear)
	o.clear = o.clear[n:]
	return n, nil
}

func (o *opener) next() error {
	text := o.buf[:min(o.left, chunk+tag)]
	if n, err := o.from.ReadAt(text, o.at); err != nil && n < len(text) {
		if err == io.EOF {
			return damaged("it ends after %d octets", o.at+int64(n))
		}
		return err
	}
	o.at, o.left = o.at+int64(len(text)), o.left-int64(len(text))
	n := nonce(o.count, o.left == 0)
	o.count++
	var err error
	if o.clear, err = o.aead.Open(text[:0], n[:], text, o.about); err != nil {
		return damaged("its chunk %d does not decrypt", o.count)
	}
	return nil
}

// bodyReader is the message, decrypted on the way.
type bodyReader struct {
	zip  *zstd.Decoder
	left int64
	from *opener
}

// open reads what is known of the message, and returns the message for whoever reads on. Of the message nothing is proved
// before its end was read.
func (s *stored) open() (*Meta, *bodyReader, error) {
	o := &opener{from: s.file, at: s.start, left: s.size - s.start - trailerSize, aead: s.aead, about: about("message", s.head.ID), buf: make([]byte, chunk+tag)}
	z, err := zstd.NewReader(o, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true), zstd.WithDecoderMaxWindow(window))
	if err != nil {
		return nil, nil, err
	}
	m, err := readMeta(z, s.head.ID)
	if err != nil {
		z.Close()
		return nil, nil, o.cause(err)
	}
	return m, &bodyReader{zip: z, left: m.Size, from: o}, nil
}

// cause is why the compressed stream could not be read: what lies below says it better.
func (o *opener) cause(err error) error {
	switch {
	case o.err != nil:
		return o.err
	case Damaged(err):
		return err
	}
	return damaged("it does not unpack: %s", gateway.CleanText(err.Error(), 100))
}

func readMeta(r io.Reader, id gateway.ID) (*Meta, error) {
	var size [4]byte
	if _, err := io.ReadFull(r, size[:]); err != nil {
		return nil, err
	}
	n := binary.BigEndian.Uint32(size[:])
	if n > maxMeta {
		return nil, damaged("what is known of the message is said to have %d octets", n)
	}
	var text bytes.Buffer // it grows with what is there, whatever is said
	if _, err := io.CopyN(&text, r, int64(n)); err != nil {
		return nil, err
	}
	m := new(Meta)
	if err := json.Unmarshal(text.Bytes(), m); err != nil {
		return nil, damaged("what is known of the message cannot be read: %s", gateway.CleanText(err.Error(), 100))
	}
	if err := m.check(id); err != nil {
		return nil, damaged("%v", err)
	}
	return m, nil
}

func (b *bodyReader) Read(p []byte) (int, error) {
	if b.left == 0 {
		return 0, b.end()
	}
	n, err := b.zip.Read(p[:min(int64(len(p)), b.left)])
	b.left -= int64(n)
	switch {
	case err == io.EOF && b.left > 0:
		return n, damaged("its message ends %d octets too early", b.left)
	case err == io.EOF || err == nil:
		return n, nil
	}
	return n, b.from.cause(err)
}

// end proves that nothing is behind the message, and that the last chunk was the last.
func (b *bodyReader) end() error {
	var one [1]byte
	for {
		n, err := b.zip.Read(one[:])
		switch {
		case n > 0:
			return damaged("there is more behind its message")
		case err == io.EOF && b.from.left > 0:
			return damaged("there is more behind its message")
		case err == io.EOF:
			return io.EOF
		case err != nil:
			return b.from.cause(err)
		}
	}
}

// Close gives the memory back.
func (b *bodyReader) Close() { b.zip.Close() }

// verify reads the whole file, and holds it against its trailer and what encrypts it.
func (s *stored) verify(ctx context.Context) error {
	end := s.size - trailerSize
	var sum uint32
	buf := make([]byte, chunk)
	for at := int64(0); at < end; {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		p := buf[:min(int64(len(buf)), end-at)]
		if n, err := s.file.ReadAt(p, at); n < len(p) {
			if err == io.EOF {
				return damaged("it ends after %d octets", at+int64(n))
			}
			return err
		}
		sum = crc32.Update(sum, durable.Castagnoli(), p)
		at += int64(len(p))
	}
	var trailer [trailerSize]byte
	if n, err := s.file.ReadAt(trailer[:], end); n < len(trailer) && err != nil && err != io.EOF {
		return err
	}
	if string(trailer[:]) != fmt.Sprintf(trailerForm, sum, end) {
		return damaged("its CRC-32C is %08x of %d octets, and the end says otherwise", sum, end)
	}
	_, body, err := s.open()
	if err != nil {
		return err
	}
	defer body.Close()
	n, err := io.Copy(io.Discard, &watched{ctx, body})
	if err == nil && n != s.Meta.Size {
		err = errors.New("not all of it was read")
	}
	return err
}
