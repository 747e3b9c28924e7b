package pdf

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/md5"
	"crypto/rc4"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/binary"
)

// method is how strings or streams are encrypted.
type method byte

const (
	plain method = iota
	useRC4
	useAES128
	useAES256
)

// crypt is the standard security handler, opened with the empty user password: 7.6.
type crypt struct {
	key              []byte
	strings, streams method
	metadata         bool // the metadata is encrypted too
}

// padding fills passwords: 7.6.4.3.2, algorithm 2.
const padding = "\x28\xBF\x4E\x5E\x4E\x75\x8A\x41\x64\x00\x4E\x56\xFF\xFA\x01\x08\x2E\x2E\x00\xB6\xD0\x68\x3E\x80\x2F\x0C\xA9\xFE\x64\x53\x69\x7A"

// openCrypt opens the handler of a file, nil where the empty password does not.
func openCrypt(f *file, d *dict, id []byte) *crypt {
	number := func(key name) int { n, _ := f.resolve(d.get(key)).(float64); return int(n) }
	octets := func(key name) []byte { s, _ := f.resolve(d.get(key)).(text); return []byte(s) }
	if handler, _ := f.resolve(d.get("Filter")).(name); handler != "Standard" {
		return nil
	}
	version, revision := number("V"), number("R")
	c := &crypt{metadata: true}
	if m, ok := f.resolve(d.get("EncryptMetadata")).(bool); ok {
		c.metadata = m
	}
	length := number("Length") / 8
	switch version {
	case 1:
		c.strings, c.streams, length = useRC4, useRC4, 5
	case 2, 3:
		c.strings, c.streams = useRC4, useRC4
	case 4, 5:
		filters := f.dict(d.get("CF"))
		of := func(key name) method {
			n, _ := f.resolve(d.get(key)).(name)
			m, _ := f.resolve(f.dict(filters.get(n)).get("CFM")).(name)
			switch m {
			case "V2":
				return useRC4
			case "AESV2":
				return useAES128
			case "AESV3":
				return useAES256
			}
			return plain
		}
		c.strings, c.streams = of("StrF"), of("StmF")
		if version == 4 {
			length = 16
		}
	default:
		return nil
	}
	if length < 5 || length > 16 {
		length = 5
	}
	owner, user := octets("O"), octets("U")
	switch {
	case revision >= 2 && revision <= 4:
		c.key = userKey(owner, user, id, uint32(int64(number("P"))), revision, length, c.metadata)
	case revision == 5 || revision == 6:
		c.key = userKey256(user, octets("UE"), revision)
	}
	if c.key == nil {
		return nil
	}
	return c
}

// userKey is the key by the empty password, nil where that is not the user's: algorithms 2, 4 and 5.
func userKey(owner, user, id []byte, permissions uint32, revision, length int, metadata bool) []byte {
	if len(owner) < 32 || len(user) < 16 {
		return nil
	}
	h := md5.New()
	h.Write([]byte(padding))
	h.Write(owner[:32])
	h.Write(binary.LittleEndian.AppendUint32(nil, permissions))
	h.Write(id)
	if revision >= 4 && !metadata {
		h.Write([]byte("\xff\xff\xff\xff"))
	}
	key := h.Sum(nil)
	if revision == 2 {
		length = 5
	} else {
		for range 50 {
			s := md5.Sum(key[:length])
			key = s[:]
		}
	}
	key = key[:length]
	if revision == 2 {
		if out := rc4With(key, []byte(padding)); !bytes.Equal(out, user[:min(32, len(user))]) {
			return nil
		}
		return key
	}
	s := md5.Sum(append([]byte(padding), id...))
	out := s[:]
	for i := range 20 {
		k := bytes.Clone(key)
		for j := range k {
			k[j] ^= byte(i)
		}
		out = rc4With(k, out)
	}
	if !bytes.Equal(out, user[:16]) {
		return nil
	}
	return key
}

func rc4With(key, b []byte) []byte {
	c, err := rc4.NewCipher(key)
	if err != nil {
		return nil
	}
	out := make([]byte, len(b))
	c.XORKeyStream(out, b)
	return out
}

// userKey256 is the same of AES-256: algorithms 2.A and 2.B of ISO 32000-2; revision 5 is Adobe's extension, without 2.B.
func userKey256(user, encrypted []byte, revision int) []byte {
	if len(user) < 48 || len(encrypted) < 32 {
		return nil
	}
	digest := func(salt []byte) []byte {
		if revision == 5 {
			s := sha256.Sum256(salt)
			return s[:]
		}
		return hardened(salt)
	}
	if !bytes.Equal(digest(user[32:40]), user[:32]) {
		return nil
	}
	c, err := aes.NewCipher(digest(user[40:48]))
	if err != nil {
		return nil
	}
	key := bytes.Clone(encrypted[:32])
	cipher.NewCBCDecrypter(c, make([]byte, 16)).CryptBlocks(key, key)
	return key
}

// hardened is algorithm 2.B for the empty password: 64 rounds or more, which its own results end; 288 at the most.
func hardened(salt []byte) []byte {
	s := sha256.Sum256(salt)
	k := s[:]
	for i := 0; i < 288; i++ {
		e := bytes.Repeat(k, 64)
		c, err := aes.NewCipher(k[:16])
		if err != nil {
			return nil
		}
		cipher.NewCBCEncrypter(c, k[16:32]).CryptBlocks(e, e)
		rest := 0
		for _, x := range e[:16] {
			rest += int(x)
		}
		switch rest % 3 {
		case 0:
			h := sha256.Sum256(e)
			k = h[:]
		case 1:
			h := sha512.Sum384(e)
			k = h[:]
		default:
			h := sha512.Sum512(e)
			k = h[:]
		}
		if i >= 63 && int(e[len(e)-1]) <= i-31 {
			break
		}
	}
	return k[:32]
}

// text decrypts a string of an object.
func (c *crypt) text(id ref, s text) text { return text(c.open(c.strings, id, []byte(s))) }

// stream decrypts a stream. A cross reference and, where the file says so, the metadata are in clear; a stream may name a filter
// that is none.
func (c *crypt) stream(id ref, b []byte, d *dict) []byte {
	kind, _ := d.get("Type").(name)
	if kind == "XRef" || kind == "Metadata" && !c.metadata {
		return b
	}
	if filters, ok := d.get("Filter").(array); ok && len(filters) > 0 && filters[0] == name("Crypt") {
		parms, _ := d.get("DecodeParms").(array)
		if len(parms) == 0 {
			return b
		}
		if p, ok := parms[0].(*dict); ok && (p.get("Name") == nil || p.get("Name") == name("Identity")) {
			return b
		}
	}
	return c.open(c.streams, id, b)
}

// open decrypts: algorithm 1 and 1.A.
func (c *crypt) open(m method, id ref, b []byte) []byte {
	key := c.key
	if m == useRC4 || m == useAES128 {
		n := append(bytes.Clone(key), byte(id.number), byte(id.number>>8), byte(id.number>>16), byte(id.generation), byte(id.generation>>8))
		if m == useAES128 {
			n = append(n, "sAlT"...)
		}
		s := md5.Sum(n)
		key = s[:min(len(key)+5, 16)]
	}
	switch m {
	case plain:
		return b
	case useRC4:
		return rc4With(key, b)
	}
	if len(b) < 32 {
		return nil
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil
	}
	out := bytes.Clone(b[16 : len(b)/16*16])
	cipher.NewCBCDecrypter(block, b[:16]).CryptBlocks(out, out)
	if pad := int(out[len(out)-1]); pad >= 1 && pad <= 16 {
		out = out[:len(out)-pad]
	}
	return out
}
