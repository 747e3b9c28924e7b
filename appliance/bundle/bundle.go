package bundle

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"

	"gatepost/appliance/minisign"
)

// Reader is a bundle whose signature was verified, and whose parts are read one after the other.
type Reader struct {
	Manifest *Manifest
	Key      minisign.KeyID // by which it is signed
	Head     int64          // octets before the first part

	from io.Reader
	next int
}

// ErrCut says that a bundle ends before it is over.
var ErrCut = errors.New("the bundle is cut off")

// Open reads a bundle up to its first part: at most 64 KiB of manifest, and its signature by one of the keys. An error says what is
// wrong with it, or is that of reading; one that wraps ErrCut may be cured by sending it again. It reads not one octet of the parts.
func Open(from io.Reader, keys []minisign.PublicKey) (*Reader, error) {
	head := make([]byte, headSize)
	if err := fill(from, head); err != nil {
		if errors.Is(err, ErrCut) && !strings.HasPrefix(magic, string(head[:min(len(magic), 8)])) {
			return nil, errors.New("that is no bundle of Gatepost")
		}
		return nil, err
	}
	length, ok := strings.CutPrefix(string(head), magic)
	n, err := strconv.ParseUint(strings.TrimSuffix(length, "\n"), 10, 31)
	if !ok || err != nil || head[headSize-1] != '\n' {
		return nil, errors.New("that is no bundle of Gatepost, or one of a later format")
	}
	if n > MaxManifest {
		return nil, fmt.Errorf("its manifest has %d octets; at most %d", n, MaxManifest)
	}
	text := append(head, make([]byte, n)...)
	if err := fill(from, text[headSize:]); err != nil {
		return nil, err
	}
	signature, err := readLines(from)
	if err != nil {
		return nil, err
	}
	key, err := minisign.Verify(keys, text, signature)
	if err != nil {
		return nil, fmt.Errorf("its signature: %w", err)
	}
	m, err := parse(text[headSize:])
	if err != nil {
		return nil, fmt.Errorf("its manifest: %w", err)
	}
	return &Reader{Manifest: m, Key: key, Head: int64(len(text) + len(signature)), from: from}, nil
}

// fill reads as many octets as there is room for.
func fill(from io.Reader, into []byte) error {
	_, err := io.ReadFull(from, into)
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return ErrCut
	}
	return err
}

// readLines reads the lines of a signature, one octet at a time, since what stands behind them is a part.
func readLines(from io.Reader) ([]byte, error) {
	out, one := make([]byte, 0, 512), make([]byte, 1)
	for lines := 0; lines < minisign.Lines; {
		if len(out) == minisign.MaxSignature {
			return nil, fmt.Errorf("its signature has more than %d octets", minisign.MaxSignature)
		}
		if err := fill(from, one); err != nil {
			return nil, err
		}
		out = append(out, one[0])
		if one[0] == '\n' {
			lines++
		}
	}
	return out, nil
}

// Next copies the next part. What was written is the part only where there is no error: then its size and its sum are right. Behind
// the last part the error is io.EOF, or says that something stands behind it.
func (r *Reader) Next(to io.Writer) (Part, error) {
	if r.next == len(r.Manifest.Parts) {
		err := fill(r.from, make([]byte, 1))
		switch {
		case errors.Is(err, ErrCut):
			err = io.EOF
		case err == nil:
			err = errors.New("there is something behind the last part of the bundle")
		}
		return Part{}, err
	}
	p := r.Manifest.Parts[r.next]
	r.next++
	sum := sha256.New()
	_, err := io.CopyN(io.MultiWriter(to, sum), r.from, p.Size)
	if errors.Is(err, io.EOF) {
		err = ErrCut
	}
	if err != nil {
		return p, fmt.Errorf("%s: %w", p.Name, err)
	}
	if hex.EncodeToString(sum.Sum(nil)) != p.SHA256 {
		return p, fmt.Errorf("%s: its sum is not the one in the manifest: it was changed on its way", p.Name)
	}
	return p, nil
}

// Sum reads a part from its file for a manifest.
func Sum(name string, from io.Reader) (Part, error) {
	sum := sha256.New()
	n, err := io.Copy(sum, from)
	return Part{Name: name, Size: n, SHA256: hex.EncodeToString(sum.Sum(nil))}, err
}

// Write writes a bundle: what is signed, a signature of it by one of the keys, and the parts in their order. What was written is a
// bundle only where there is no error.
func Write(to io.Writer, signed, signature []byte, keys []minisign.PublicKey, parts ...io.Reader) error {
	head := io.MultiReader(strings.NewReader(string(signed)), strings.NewReader(string(signature)))
	r, err := Open(io.MultiReader(append([]io.Reader{head}, parts...)...), keys)
	if err != nil {
		return err
	}
	if r.Head != int64(len(signed)+len(signature)) {
		return errors.New("what is signed, or its signature, is longer than a bundle has it")
	}
	for _, text := range [...][]byte{signed, signature} {
		if _, err := to.Write(text); err != nil {
			return err
		}
	}
	for range r.Manifest.Parts {
		if _, err := r.Next(to); err != nil {
			return err
		}
	}
	if _, err := r.Next(io.Discard); !errors.Is(err, io.EOF) {
		return err
	}
	return nil
}
