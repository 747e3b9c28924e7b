package quarantine

import (
	"context"
	"crypto/cipher"
	"crypto/rand"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/klauspost/compress/zstd"

	"gatepost/gateway"
	"gatepost/internal/durable"
)

// A message's file: a line that says what it is; a line of JSON that tells which message it is, which key of the installation
// it needs, and the message's own key, wrapped by that; then, encrypted in chunks and compressed within, the number of octets
// of what is known of the message, that as JSON, and the message octet for octet; and a trailer of fixed size with the CRC-32C
// (RFC 3720 appendix B.4) and the number of all octets before it.
const (
	magic       = "gatepost-vault 1\n"
	trailerForm = "\nend %08x %019d END\n"
	trailerSize = 1 + 4 + 8 + 1 + 19 + 5
	maxHead     = 1 << 10
	chunk       = 64 << 10
	tag         = 16 // octets that AES-GCM adds
	nonceSize   = 12
	maxMeta     = 32 << 20
	window      = 256 << 10 // of the compression: what a reader needs in memory
)

// damage says that a file is not what was written.
type damage struct{ why string }

func (d *damage) Error() string { return "damaged: " + d.why }

func damaged(form string, args ...any) error { return &damage{fmt.Sprintf(form, args...)} }

// Damaged reports an error that says that a file is not what was written.
func Damaged(err error) bool {
	_, is := errors.AsType[*damage](err)
	return is
}

// head is what of a file can be read without a key.
type head struct {
	ID      gateway.ID `json:"id"`
	Key     string     `json:"key"`
	Wrapped string     `json:"wrapped"` // base64 of the nonce and the sealed key; nothing but "A" once it was erased
}

// erased is what the wrapped key of a message is overwritten with; errErased says that it was.
const erased = "A"

var errErased = errors.New("it was erased")

// about binds what is encrypted to the message that it belongs to.
func about(what string, id gateway.ID) []byte {
	return binary.BigEndian.AppendUint64([]byte("gatepost-vault 1 "+what+" "), uint64(id))
}

// newHead makes the key of a message and wraps it.
func newHead(k installationKey, id gateway.ID) (head, cipher.AEAD, error) {
	key := make([]byte, nonceSize+keyOctets)
	_, _ = rand.Read(key) // it never fails
	nonce, key := key[:nonceSize], key[nonceSize:]
	aead, err := gcm(key)
	if err != nil {
		return head{}, nil, err
	}
	wrapped := k.aead.Seal(append([]byte(nil), nonce...), nonce, key, about("key "+k.id, id))
	return head{ID: id, Key: k.id, Wrapped: base64.StdEncoding.EncodeToString(wrapped)}, aead, nil
}

// unwrap is the way back.
func (h *head) unwrap(keys *Keys) (cipher.AEAD, error) {
	k, ok := keys.named(h.Key)
	if !ok {
		return nil, fmt.Errorf("key %s: %w", gateway.CleanText(h.Key, 20), ErrNoKey)
	}
	if h.Wrapped != "" && strings.Trim(h.Wrapped, erased) == "" {
		return nil, errErased
	}
	wrapped, err := base64.StdEncoding.DecodeString(h.Wrapped)
	if err != nil || len(wrapped) != nonceSize+keyOctets+tag {
		return nil, damaged("the key of the message is no key")
	}
	key, err := k.aead.Open(nil, wrapped[:nonceSize], wrapped[nonceSize:], about("key "+k.id, h.ID))
	if err != nil {
		return nil, damaged("the key of the message does not open with key %s: it was erased, or is that of another file", k.id)
	}
	return gcm(key)
}

// sealer encrypts a stream in chunks (STREAM; Hoang, Reyhanitabar, Rogaway, Vizár 2015): the nonce counts the chunks and
// says which is the last, so that none can be left out, repeated, moved or cut off. The key is of one stream only.
type sealer struct {
	to    io.Writer
	aead  cipher.AEAD
	about []byte
	buf   []byte // of chunk and tag
	n     int
	count uint64
}

func nonce(count uint64, last bool) (n [nonceSize]byte) {
	binary.BigEndian.PutUint64(n[3:], count)
	if last {
		n[nonceSize-1] = 1
	}
	return n
}

func (s *sealer) Write(p []byte) (int, error) {
	wrote := len(p)
	for len(p) > 0 {
		if s.n == chunk {
			if err := s.seal(false); err != nil {
				return 0, err
			}
		}
		n := copy(s.buf[s.n:chunk], p)
		s.n, p = s.n+n, p[n:]
	}
	return wrote, nil
}

func (s *sealer) seal(last bool) error {
	n := nonce(s.count, last)
	out := s.aead.Seal(s.buf[:0], n[:], s.buf[:s.n], s.about)
	s.count, s.n = s.count+1, 0
	_, err := s.to.Write(out)
	return err
}

// writer is what writes files, lent again and again.
type writer struct {
	zip *zstd.Encoder
	buf []byte
}

func newWriter() (*writer, error) {
	z, err := zstd.NewWriter(nil, zstd.WithEncoderConcurrency(1), zstd.WithEncoderLevel(zstd.SpeedFastest), zstd.WithWindowSize(window),
		zstd.WithLowerEncoderMem(true), zstd.WithEncoderCRC(false))
	if err != nil {
		return nil, err
	}
	return &writer{zip: z, buf: make([]byte, chunk+tag)}, nil
}

// write writes a whole file, and returns its size. The message must have the size that Meta says.
func (w *writer) write(ctx context.Context, to io.Writer, keys *Keys, m *Meta, body io.Reader) (int64, string, error) {
	text, err := json.Marshal(m)
	if err != nil {
		return 0, "", err
	}
	if len(text) > maxMeta {
		return 0, "", errors.New("what is known of the message is too long")
	}
	h, aead, err := newHead(keys.inUse(), m.ID)
	if err != nil {
		return 0, "", err
	}
	line, err := json.Marshal(&h)
	if err != nil {
		return 0, "", err
	}
	sum := &durable.Summed{To: to}
	_, err = sum.Write(append([]byte(magic+string(line)), '\n'))
	if err == nil {
		err = w.sealed(ctx, &sealer{to: sum, aead: aead, about: about("message", m.ID), buf: w.buf}, text, m.Size, body)
	}
	if err == nil {
		_, err = fmt.Fprintf(to, trailerForm, sum.Sum, sum.N)
		sum.Err = err
	}
	if sum.Err != nil {
		return 0, "", durable.DiskError{Err: sum.Err}
	}
	return sum.N + trailerSize, h.Key, err
}

func (w *writer) sealed(ctx context.Context, s *sealer, text []byte, size int64, body io.Reader) error {
	w.zip.Reset(s)
	defer w.zip.Reset(nil)
	var n [4]byte
	binary.BigEndian.PutUint32(n[:], uint32(len(text)))
	for _, part := range [...][]byte{n[:], text} {
		if _, err := w.zip.Write(part); err != nil {
			return err
		}
	}
	copied, err := io.Copy(onlyWriter{w.zip}, &watched{ctx, io.LimitReader(body, size+1)})
	switch {
	case err != nil:
		return err
	case copied != size:
		return fmt.Errorf("the message is not of the %d octets that it is said to have", size)
	}
	if err := w.zip.Close(); err != nil {
		return err
	}
	return s.seal(true)
}

// onlyWriter hides that the encoder can read by itself, which would need another buffer for each message.
type onlyWriter struct{ io.Writer }

// watched ends reading when its context does.
type watched struct {
	ctx context.Context
	io.Reader
}

func (w *watched) Read(p []byte) (int, error) {
	if w.ctx.Err() != nil {
		return 0, context.Cause(w.ctx)
	}
	return w.Reader.Read(p)
}
