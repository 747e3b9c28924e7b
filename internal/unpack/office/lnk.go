package office

import (
	"bytes"
	"strconv"
	"strings"

	"gatepost/internal/unpack"
)

// link is a shortcut of Windows (.lnk). [MS-SHLLINK].
type link struct{}

func (link) Name() string { return "lnk" }
func (link) Match(head []byte, _ unpack.Content) bool {
	return bytes.HasPrefix(head, []byte("L\x00\x00\x00\x01\x14\x02\x00\x00\x00\x00\x00\xC0\x00\x00\x00\x00\x00\x00\x46"))
}

// The flags of a shortcut: 2.1.1.
const (
	lnkIDList = 1 << iota
	lnkInfo
	lnkName
	lnkRelative
	lnkFolder
	lnkArguments
	lnkIcon
	lnkUnicode
)

func (link) Open(w *unpack.Walk, at int, c unpack.Content) error {
	b := c.Bytes()
	flags := u32(b, 20)
	rest := cut(b, 76, len(b))
	target := ""
	if flags&lnkIDList != 0 {
		n := u16(rest, 0)
		target = idList(cut(rest, 2, n))
		rest = cut(rest, 2+n, len(rest))
	}
	if flags&lnkInfo != 0 {
		n := int(u32(rest, 0) & 0x7fffffff)
		if t := linkInfo(cut(rest, 0, n)); t != "" {
			target = t
		}
		rest = cut(rest, n, len(rest))
	}
	texts := map[uint32]string{}
	for _, f := range []uint32{lnkName, lnkRelative, lnkFolder, lnkArguments, lnkIcon} {
		if flags&f == 0 {
			continue
		}
		n := u16(rest, 0)
		if flags&lnkUnicode != 0 {
			texts[f] = wide(cut(rest, 2, 2*n))
			n *= 2
		} else {
			texts[f] = narrow(cut(rest, 2, n))
		}
		rest = cut(rest, 2+n, len(rest))
	}
	// ExtraData: 2.5. A target by an environment variable is the one that counts.
	for len(rest) >= 4 {
		n := int(u32(rest, 0) & 0x7fffffff)
		if n < 4 {
			rest = rest[4:]
			break
		}
		block := cut(rest, 0, n)
		if u32(block, 4) == 0xA0000001 {
			if t := wide(cut(block, 268, 520)); t != "" {
				target = t
			} else if t := narrow(cut(block, 8, 260)); t != "" {
				target = t
			}
		}
		rest = cut(rest, len(block), len(rest))
	}
	if target == "" {
		target = texts[lnkRelative]
	}
	w.Sign(at, unpack.Shortcut, fold(target+" "+texts[lnkArguments]))
	if args := texts[lnkArguments]; len(args)-len(fold(args)) > 100 || len(args) > 260 {
		w.Sign(at, unpack.MacroSuspect, "arguments that the properties of the shortcut do not show: "+strconv.Itoa(len(args))+" characters")
	}
	if icon := texts[lnkIcon]; remote(icon) {
		w.Sign(at, unpack.RemoteContent, "icon: "+icon)
	}
	if remote(target) {
		w.Sign(at, unpack.RemoteContent, "target: "+target)
	}
	for _, u := range urlsOf(strings.ToLower(texts[lnkArguments]), 16) {
		w.Link(at, unpack.Link{URI: u, Where: "document"})
	}
	if len(bytes.Trim(rest, "\x00")) > 16 {
		w.Sign(at, unpack.Trailing, "data behind the shortcut")
		return w.Enter(at, unpack.Entry{Name: "behind the shortcut", Size: int64(len(rest))}, bytes.NewReader(rest))
	}
	return nil
}

// linkInfo reads where the target lies: 2.3.
func linkInfo(b []byte) string {
	head, flags := int(u32(b, 4)), u32(b, 8)
	text := func(field int) string { return narrow(cut(b, int(u32(b, field)&0x7fffffff), 1024)) }
	switch {
	case flags&1 != 0:
		if head >= 0x24 {
			if t := wide(cut(b, int(u32(b, 28)&0x7fffffff), 2048)); t != "" {
				return t
			}
		}
		return text(16) + text(24)
	case flags&2 != 0:
		net := int(u32(b, 20) & 0x7fffffff) // CommonNetworkRelativeLink: its name is 20 octets in, or where it says
		name := narrow(cut(b, net+int(u32(b, net+8)&0x7fffffff), 1024))
		if suffix := text(24); suffix != "" {
			name += `\` + suffix
		}
		return name
	}
	return ""
}

// idList joins the names of files in an item list: items whose type is 0x3x have a short name, and more behind it.
func idList(b []byte) string {
	var parts []string
	for len(b) >= 2 && len(parts) < 32 {
		n := u16(b, 0)
		if n < 2 {
			break
		}
		item := cut(b, 2, n-2)
		b = cut(b, max(n, 2), len(b))
		if len(item) < 3 {
			continue
		}
		switch {
		case item[0]&0x70 == 0x20: // a volume
			parts = append(parts, strings.TrimRight(narrow(item[1:]), `\`))
		case item[0]&0x70 == 0x30:
			if item[0]&4 != 0 {
				parts = append(parts, wide(cut(item, 12, len(item))))
			} else {
				parts = append(parts, narrow(cut(item, 12, len(item))))
			}
		case item[0] == 0x61: // an address
			parts = append(parts, narrow(cut(item, 4, len(item)))+wide(cut(item, 4, len(item))))
		}
	}
	return strings.Join(parts, `\`)
}
