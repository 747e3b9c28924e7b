package office

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/md5"
	"crypto/rc4"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"encoding/binary"
	"encoding/xml"
	"hash"
	"unicode/utf16"

	"gatepost/internal/unpack"
)

// knownPassword is what Excel and PowerPoint try by themselves before they ask: a document that it opens is encrypted for
// scanners and open for everybody else. [MS-OFFCRYPTO] 2.4.2.3.
const knownPassword = "VelvetSweatshop"

// maxSpin is how many rounds of hashing are done: Office writes 50,000 or 100,000, and a file may say ten million.
const maxSpin = 200_000

func passwordBytes() []byte {
	var b []byte
	for _, c := range utf16.Encode([]rune(knownPassword)) {
		b = binary.LittleEndian.AppendUint16(b, c)
	}
	return b
}

// encrypted looks at a document of Office 2007 and later that is encrypted whole. [MS-OFFCRYPTO] 2.3.
func (o *oleFile) encrypted() error {
	info, pack := o.f.stream(0, "EncryptionInfo"), o.f.stream(0, "EncryptedPackage")
	major, minor := u16(info, 0), u16(info, 2)
	var plain []byte
	switch {
	case major == 4 && minor == 4:
		plain = agile(cut(info, 8, len(info)), pack)
	case minor == 2 && major >= 2 && major <= 4:
		plain = standard(cut(info, 4, len(info)), pack)
	}
	if plain == nil {
		o.w.Sign(o.at, unpack.Encrypted, "document")
		return nil
	}
	o.w.Sign(o.at, unpack.OpenPassword, knownPassword)
	return o.w.Enter(o.at, unpack.Entry{Name: "EncryptedPackage", Size: int64(len(plain)), Packed: int64(len(pack))}, bytes.NewReader(plain))
}

// packed bounds the plain text by what the package says of its size.
func packed(pack, plain []byte) []byte {
	if len(pack) < 8 || len(plain) == 0 {
		return nil
	}
	return plain[:min(binary.LittleEndian.Uint64(pack), uint64(len(plain)))]
}

// standard opens standard encryption with the known password: AES-128 in ECB and SHA-1. 2.3.4.5 to 2.3.4.9.
func standard(info, pack []byte) []byte {
	// EncryptionHeader: flags and size, then Flags, SizeExtra, AlgID, AlgIDHash, KeySize, ...
	head := cut(info, 8, int(u32(info, 4)&0xffff))
	bits, verifier := int(u32(head, 16)), cut(info, 8+len(head), 84)
	if bits != 128 && bits != 192 && bits != 256 || len(verifier) < 72 || u32(verifier, 0) != 16 {
		return nil
	}
	h := sha1.Sum(append(bytes.Clone(verifier[4:20]), passwordBytes()...))
	var round [24]byte
	for i := range 50_000 {
		binary.LittleEndian.PutUint32(round[:], uint32(i))
		copy(round[4:], h[:])
		h = sha1.Sum(round[:])
	}
	h = sha1.Sum(append(bytes.Clone(h[:]), 0, 0, 0, 0))
	pad := func(c byte) []byte {
		var x [64]byte
		for i := range x {
			x[i] = c
			if i < len(h) {
				x[i] ^= h[i]
			}
		}
		s := sha1.Sum(x[:])
		return s[:]
	}
	block, err := aes.NewCipher(append(pad(0x36), pad(0x5c)...)[:bits/8])
	if err != nil {
		return nil
	}
	check, want := ecb(block, verifier[20:36]), ecb(block, verifier[40:72])
	if sum := sha1.Sum(check); !bytes.Equal(sum[:], want[:20]) {
		return nil
	}
	return packed(pack, ecb(block, cut(pack, 8, len(pack))))
}

func ecb(c cipher.Block, b []byte) []byte {
	n := c.BlockSize()
	out := make([]byte, len(b)/n*n)
	for i := 0; i < len(out); i += n {
		c.Decrypt(out[i:], b[i:i+n])
	}
	return out
}

// agileInfo is what is needed of the XML of agile encryption. 2.3.4.10.
type agileInfo struct {
	Data agileKey `xml:"keyData"`
	Keys []struct {
		Key agileKey `xml:"encryptedKey"`
	} `xml:"keyEncryptors>keyEncryptor"`
}

type agileKey struct {
	Salt     string `xml:"saltValue,attr"`
	Block    int    `xml:"blockSize,attr"`
	Bits     int    `xml:"keyBits,attr"`
	Hash     string `xml:"hashAlgorithm,attr"`
	Spin     int    `xml:"spinCount,attr"`
	Chain    string `xml:"cipherChaining,attr"`
	Cipher   string `xml:"cipherAlgorithm,attr"`
	Input    string `xml:"encryptedVerifierHashInput,attr"`
	Value    string `xml:"encryptedVerifierHashValue,attr"`
	KeyValue string `xml:"encryptedKeyValue,attr"`
}

func hashOf(name string) func() hash.Hash {
	switch name {
	case "SHA1", "SHA-1":
		return sha1.New
	case "SHA256", "SHA-256":
		return sha256.New
	case "SHA384", "SHA-384":
		return sha512.New384
	case "SHA512", "SHA-512":
		return sha512.New
	}
	return nil
}

func sum(h func() hash.Hash, parts ...[]byte) []byte {
	s := h()
	for _, p := range parts {
		s.Write(p)
	}
	return s.Sum(nil)
}

// fit makes a key or a vector of a length: cut, or filled with 0x36.
func fit(b []byte, n int) []byte {
	b = bytes.Clone(b)
	for len(b) < n {
		b = append(b, 0x36)
	}
	return b[:n]
}

func cbc(key, iv, b []byte) []byte {
	c, err := aes.NewCipher(key)
	if err != nil {
		return nil
	}
	out := bytes.Clone(b[:len(b)/16*16])
	cipher.NewCBCDecrypter(c, fit(iv, 16)).CryptBlocks(out, out)
	return out
}

// agile opens agile encryption with the known password. 2.3.4.11 to 2.3.4.15. AES in CBC is what Office writes.
func agile(info, pack []byte) []byte {
	var a agileInfo
	if len(info) > 1<<16 || xml.Unmarshal(info, &a) != nil || len(a.Keys) == 0 {
		return nil
	}
	k := a.Keys[0].Key
	h, hData := hashOf(k.Hash), hashOf(a.Data.Hash)
	bytesOf := func(s string) []byte { b, _ := base64.StdEncoding.DecodeString(s); return b }
	valid := func(k agileKey) bool {
		return (k.Cipher == "AES" || k.Cipher == "") && (k.Chain == "ChainingModeCBC" || k.Chain == "") && (k.Bits == 128 || k.Bits == 192 || k.Bits == 256)
	}
	if h == nil || hData == nil || k.Spin < 0 || k.Spin > maxSpin || !valid(k) || !valid(a.Data) {
		return nil
	}
	salt := bytesOf(k.Salt)
	s := sum(h, salt, passwordBytes())
	var n [4]byte
	for i := range k.Spin {
		binary.LittleEndian.PutUint32(n[:], uint32(i))
		s = sum(h, n[:], s)
	}
	open := func(block, value string) []byte {
		return cbc(fit(sum(h, s, []byte(block)), k.Bits/8), salt, bytesOf(value))
	}
	input, value := open("\xfe\xa7\xd2\x76\x3b\x4b\x9e\x79", k.Input), open("\xd7\xaa\x0f\x6d\x30\x61\x34\x4e", k.Value)
	want := sum(h, input)
	if len(input) == 0 || len(value) < len(want) || !bytes.Equal(value[:len(want)], want) {
		return nil
	}
	key := open("\x14\x6e\x0b\xe7\xab\xac\xd0\xd6", k.KeyValue)
	if len(key) < a.Data.Bits/8 || len(pack) < 8 {
		return nil
	}
	key = key[:a.Data.Bits/8]
	dataSalt := bytesOf(a.Data.Salt)
	var plain []byte
	for i, body := 0, pack[8:]; len(body) >= 16; i++ {
		binary.LittleEndian.PutUint32(n[:], uint32(i))
		segment := body[:min(4096, len(body))]
		plain = append(plain, cbc(key, sum(hData, dataSalt, n[:]), segment)...)
		body = body[len(segment):]
	}
	return packed(pack, plain)
}

// biffDecrypt returns a workbook without its encryption, nil where the known password does not open it. The headers of records
// are in clear, and so are the bodies of some; their keystream is counted all the same. [MS-XLS] 2.2.10.
func biffDecrypt(b, pass []byte) []byte {
	if u16(pass, 0) != 1 {
		return nil // XOR: what it hides is told as encrypted
	}
	key := rc4Key(pass[2:])
	if key == nil {
		return nil
	}
	plain := bytes.Clone(b)
	for i := 0; i*1024 < len(plain); i++ {
		c, err := rc4.NewCipher(key(uint32(i)))
		if err != nil {
			return nil
		}
		block := cut(plain, i*1024, 1024)
		c.XORKeyStream(block, block)
	}
	for at := 0; at+4 <= len(b); {
		id, n := u16(b, at), u16(b, at+2)
		copy(plain[at:], b[at:at+4])
		switch id {
		case biffBOF, biffFilePass, 0xE1, 0x194, 0x195, 0x1C8, 0x196, 0x138: // 2.2.10: never encrypted
			copy(plain[at+4:], cut(b, at+4, n))
		case biffBoundSheet:
			copy(plain[at+4:], cut(b, at+4, min(n, 4)))
		}
		at += 4 + n
	}
	return plain
}

// rc4Key returns the keys of the blocks if the known password opens the header: RC4 (2.3.6) and RC4 of CryptoAPI (2.3.5).
func rc4Key(h []byte) func(block uint32) []byte {
	number := func(n uint32) []byte { return binary.LittleEndian.AppendUint32(nil, n) }
	var key func(uint32) []byte
	var check, want []byte
	var digest func(...[]byte) []byte
	switch major, minor := u16(h, 0), u16(h, 2); {
	case major == 1 && minor == 1 && len(h) >= 52:
		digest = func(p ...[]byte) []byte { return sum(md5.New, p...) }
		first := digest(passwordBytes())[:5]
		mid := digest(bytes.Repeat(append(bytes.Clone(first), h[4:20]...), 16))[:5]
		key = func(n uint32) []byte { return digest(mid, number(n)) }
		check, want = h[20:36], h[36:52]
	case minor == 2 && major >= 2 && major <= 4:
		head := cut(h, 12, int(u32(h, 8)&0xffff))
		v := cut(h, 12+len(head), 60)
		bits := int(u32(head, 16))
		if bits == 0 {
			bits = 40
		}
		if len(v) < 60 || bits < 40 || bits > 128 {
			return nil
		}
		digest = func(p ...[]byte) []byte { return sum(sha1.New, p...) }
		base := digest(v[4:20], passwordBytes())
		key = func(n uint32) []byte {
			k := digest(base, number(n))[:bits/8]
			if bits == 40 {
				k = append(k, make([]byte, 11)...)
			}
			return k
		}
		check, want = v[20:36], v[40:60]
	default:
		return nil
	}
	c, err := rc4.NewCipher(key(0))
	if err != nil {
		return nil
	}
	plain := make([]byte, len(check)+len(want))
	c.XORKeyStream(plain, append(bytes.Clone(check), want...))
	if !bytes.Equal(digest(plain[:len(check)]), plain[len(check):]) {
		return nil
	}
	return key
}
