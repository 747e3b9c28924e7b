package mime

import (
	"bytes"
	"strings"
	"unicode/utf8"

	"golang.org/x/text/encoding"
	"golang.org/x/text/encoding/charmap"
	"golang.org/x/text/encoding/htmlindex"
	"golang.org/x/text/encoding/simplifiedchinese"
	"golang.org/x/text/encoding/unicode"
	"golang.org/x/text/encoding/unicode/utf32"
)

// charsetOf returns the encoding of a charset; nil for UTF-8 and US-ASCII. odd says that it can hide US-ASCII from who does
// not know it; ok that it is known at all.
func charsetOf(name string) (e encoding.Encoding, odd, ok bool) {
	name = strings.ToLower(strings.Trim(name, " \t\"'"))
	switch name {
	case "", "us-ascii", "ascii", "utf-8", "utf8", "ansi_x3.4-1968", "unicode-1-1-utf-8":
		return nil, false, true
	case "utf-7", "utf7", "unicode-1-1-utf-7", "x-unicode-1-1-utf-7", "csunicode11utf7":
		return utf7{}, true, true
	case "utf-16", "utf16", "ucs-2", "iso-10646-ucs-2", "unicode":
		return unicode.UTF16(unicode.BigEndian, unicode.UseBOM), true, true
	case "utf-16be":
		return unicode.UTF16(unicode.BigEndian, unicode.IgnoreBOM), true, true
	case "utf-16le":
		return unicode.UTF16(unicode.LittleEndian, unicode.IgnoreBOM), true, true
	case "utf-32", "utf32", "ucs-4", "iso-10646-ucs-4":
		return utf32.UTF32(utf32.BigEndian, utf32.UseBOM), true, true
	case "utf-32be":
		return utf32.UTF32(utf32.BigEndian, utf32.IgnoreBOM), true, true
	case "utf-32le":
		return utf32.UTF32(utf32.LittleEndian, utf32.IgnoreBOM), true, true
	case "hz-gb-2312", "hz":
		return simplifiedchinese.HZGB2312, true, true
	case "ibm037", "cp037", "ebcdic-cp-us":
		return charmap.CodePage037, true, true
	case "ibm1047", "cp1047":
		return charmap.CodePage1047, true, true
	case "ibm01140", "cp1140", "ibm1140":
		return charmap.CodePage1140, true, true
	case "ibm437", "cp437", "437":
		return charmap.CodePage437, false, true
	case "ibm850", "cp850", "850":
		return charmap.CodePage850, false, true
	case "ibm852", "cp852":
		return charmap.CodePage852, false, true
	case "ansi", "cp-1252", "iso-8859-1-windows-3.1-latin-1":
		return charmap.Windows1252, false, true
	case "iso-8859-8-i":
		return charmap.ISO8859_8, false, true
	case "iso-2022-kr", "iso-2022-cn", "iso-2022-cn-ext", "x-user-defined", "replacement":
		return nil, true, false // escapes that hide text, and that nobody here can read
	}
	e, err := htmlindex.Get(name)
	if err != nil || e == encoding.Replacement {
		return nil, false, false
	}
	return e, false, true
}

// toUTF8 decodes a text. Of a charset that nobody knows it is taken as UTF-8 where it is that, and else as Windows-1252.
// It is b itself where nothing is to be decoded.
func toUTF8(charset string, b []byte) []byte {
	e, _, _ := charsetOf(charset)
	if e == nil {
		if utf8.Valid(b) {
			return b
		}
		e = charmap.Windows1252
	}
	out, err := e.NewDecoder().Bytes(b)
	if err != nil {
		out = b
	}
	if utf8.Valid(out) {
		return out
	}
	return bytes.ToValidUTF8(out, []byte("\uFFFD"))
}

// Encode writes a text in a charset; ok is false where that cannot say it, or would not read as plain US-ASCII either.
func Encode(charset, text string) (b []byte, ok bool) {
	e, odd, known := charsetOf(charset)
	ascii := !strings.ContainsFunc(text, func(r rune) bool { return r >= utf8.RuneSelf })
	switch {
	case odd:
		return nil, false
	case ascii:
		return []byte(text), true
	case e == nil && known && strings.HasPrefix(strings.ToLower(charset), "utf"):
		return []byte(text), true
	}
	single, is := e.(*charmap.Charmap)
	if !is {
		return nil, false
	}
	b, err := single.NewEncoder().Bytes([]byte(text))
	return b, err == nil
}

// Decode reads octets of a charset as UTF-8; ok is false where nobody knows that charset, or they are none of it.
func Decode(charset string, b []byte) (text string, ok bool) {
	_, _, known := charsetOf(charset)
	text = string(toUTF8(charset, b))
	return text, known && !strings.ContainsRune(text, utf8.RuneError)
}
