package office

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/sha1"
	"crypto/sha512"
	"encoding/base64"
	"encoding/binary"
	"fmt"
)

// The other way of crypt.go. LibreOffice opens what these write: it tries the known password too.

func encryptCBC(key, iv, b []byte) []byte {
	for len(b)%16 != 0 {
		b = append(b, 0)
	}
	c, err := aes.NewCipher(key)
	if err != nil {
		panic(err)
	}
	out := make([]byte, len(b))
	cipher.NewCBCEncrypter(c, fit(iv, 16)).CryptBlocks(out, b)
	return out
}

func encryptAgile(plain []byte, spin int) []byte {
	salt, dataSalt, key := []byte("0123456789abcdef"), []byte("fedcba9876543210"), []byte("an AES key of 32 octets for test")
	s := sum(sha512.New, salt, passwordBytes())
	for i := range spin {
		s = sum(sha512.New, le32(i), s)
	}
	seal := func(block string, b []byte) string {
		return base64.StdEncoding.EncodeToString(encryptCBC(fit(sum(sha512.New, s, []byte(block)), 32), salt, bytes.Clone(b)))
	}
	input := []byte("verifier 16 byte")
	pack := binary.LittleEndian.AppendUint64(nil, uint64(len(plain)))
	for i := 0; i*4096 < len(plain); i++ {
		pack = append(pack, encryptCBC(key, sum(sha512.New, dataSalt, le32(i)), bytes.Clone(cut(plain, i*4096, 4096)))...)
	}
	const common = `saltSize="16" blockSize="16" keyBits="256" hashSize="64" cipherAlgorithm="AES" cipherChaining="ChainingModeCBC" hashAlgorithm="SHA512"`
	b64 := base64.StdEncoding.EncodeToString
	hmacKey := bytes.Repeat([]byte("h"), 64)
	integrity := func(block string, b []byte) string {
		return b64(encryptCBC(key, sum(sha512.New, dataSalt, []byte(block)), bytes.Clone(b)))
	}
	info := cat(le16(4), le16(4), le32(0x40), fmt.Sprintf(`<?xml version="1.0" encoding="UTF-8" standalone="yes"?><encryption xmlns="http://schemas.microsoft.com/office/2006/encryption" xmlns:p="http://schemas.microsoft.com/office/2006/keyEncryptor/password">`+
		`<keyData %s saltValue="%s"/><dataIntegrity encryptedHmacKey="%s" encryptedHmacValue="%s"/><keyEncryptors><keyEncryptor uri="http://schemas.microsoft.com/office/2006/keyEncryptor/password"><p:encryptedKey spinCount="%d" %s saltValue="%s" `+
		`encryptedVerifierHashInput="%s" encryptedVerifierHashValue="%s" encryptedKeyValue="%s"/></keyEncryptor></keyEncryptors></encryption>`,
		common, b64(dataSalt), integrity("\x5f\xb2\xad\x01\x0c\xb9\xe1\xf6", hmacKey), integrity("\xa0\x67\x7f\x02\xb2\x2c\x84\x33", hmacOf(hmacKey, pack)), spin, common, b64(salt),
		seal("\xfe\xa7\xd2\x76\x3b\x4b\x9e\x79", input), seal("\xd7\xaa\x0f\x6d\x30\x61\x34\x4e", sum(sha512.New, input)), seal("\x14\x6e\x0b\xe7\xab\xac\xd0\xd6", key)))
	return writeCFB(node{in: append(dataSpaces(), stream("EncryptionInfo", info), stream("EncryptedPackage", pack))})
}

func encryptStandard(plain []byte) []byte {
	salt := []byte("0123456789abcdef")
	h := sum(sha1.New, salt, passwordBytes())
	for i := range 50_000 {
		h = sum(sha1.New, le32(i), h)
	}
	h = sum(sha1.New, h, le32(0))
	x := bytes.Repeat([]byte{0x36}, 64)
	for i := range h {
		x[i] ^= h[i]
	}
	c, err := aes.NewCipher(sum(sha1.New, x)[:16])
	if err != nil {
		panic(err)
	}
	seal := func(b []byte) []byte {
		for len(b)%16 != 0 {
			b = append(b, 0)
		}
		for i := 0; i < len(b); i += 16 {
			c.Encrypt(b[i:], b[i:])
		}
		return b
	}
	input := []byte("verifier 16 byte")
	check := sum(sha1.New, input)
	provider := utf16le("Microsoft Enhanced RSA and AES Cryptographic Provider\x00")
	head := cat(le32(0x24), le32(0), le32(0x660E), le32(0x8004), le32(128), le32(0x18), le32(0), le32(0), provider)
	info := cat(le16(3), le16(2), le32(0x24), le32(len(head)), head, le32(16), salt, seal(input), le32(20), seal(check))
	pack := cat(binary.LittleEndian.AppendUint64(nil, uint64(len(plain))), seal(bytes.Clone(plain)))
	return writeCFB(node{in: append(dataSpaces(), stream("EncryptionInfo", info), stream("EncryptedPackage", pack))})
}

// hmacOf is HMAC-SHA512, as agile encryption has it over the package.
func hmacOf(key, b []byte) []byte {
	inner, outer := bytes.Repeat([]byte{0x36}, 128), bytes.Repeat([]byte{0x5c}, 128)
	for i := range key {
		inner[i] ^= key[i]
		outer[i] ^= key[i]
	}
	return sum(sha512.New, outer, sum(sha512.New, inner, b))
}

// dataSpaces are the storages that say how the package is encrypted: [MS-OFFCRYPTO] 2.3.
func dataSpaces() []node {
	text := func(s string) []byte {
		b := cat(le32(2*len(s)), utf16le(s))
		for len(b)%4 != 0 {
			b = append(b, 0)
		}
		return b
	}
	entry := cat(le32(1), le32(0), text("EncryptedPackage"), text("StrongEncryptionDataSpace"))
	transform := cat(text("{FF9A3F03-56EF-4613-BDD5-5A41C1D07246}"), text("Microsoft.Container.EncryptionTransform"), le32(1), le32(1), le32(1))
	return []node{storage("\x06DataSpaces",
		stream("Version", cat(text("Microsoft.Container.DataSpaces"), le32(1), le32(1), le32(1))),
		stream("DataSpaceMap", cat(le32(8), le32(1), le32(4+len(entry)), entry)),
		storage("DataSpaceInfo", stream("StrongEncryptionDataSpace", cat(le32(8), le32(1), text("StrongEncryptionTransform")))),
		storage("TransformInfo", storage("StrongEncryptionTransform", stream("\x06Primary", cat(le32(8+len(text("{FF9A3F03-56EF-4613-BDD5-5A41C1D07246}"))-4), le32(1), transform, le32(0), le32(0), le32(0), le32(4)))))),
	}
}

// encryptedDocuments cost thousands of rounds each: they are not among those that are cut and fuzzed.
func encryptedDocuments(out map[string][]byte) {
	plain := pack("[Content_Types].xml", typesHead+`<Override PartName="/word/document.xml" ContentType="application/vnd.ms-word.document.macroEnabled.main+xml"/></Types>`,
		"word/document.xml", wordBody+`<w:t>secret</w:t></w:body></w:document>`, "word/media/image1.png", string(bytes.Repeat([]byte("PNG "), 2000)))
	out["37-agile.docx"] = encryptAgile(plain, 1000)
	out["38-standard.docx"] = encryptStandard(plain)
	other := encryptAgile(plain, 1000)
	i := bytes.Index(other, []byte(`encryptedVerifierHashInput="`)) + 30
	other[i] ^= 1
	out["39-other-password.docx"] = other
}
