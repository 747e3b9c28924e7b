package office

import (
	"bytes"
	"errors"
	"strings"
)

// maxVBA is how much source text of one container is unpacked, in octets: a chunk of six octets makes 4096.
const maxVBA = 4 << 20

var errVBA = errors.New("compressed source text cannot be read")

// vbaUnpack opens a compressed container. [MS-OVBA] 2.4.1. What was unpacked before an error is returned with it.
func vbaUnpack(b []byte, most int) ([]byte, error) {
	if len(b) == 0 || b[0] != 1 {
		return nil, errVBA
	}
	var out []byte
	for b = b[1:]; len(b) >= 2 && len(out) < most; {
		head := u16(b, 0)
		if head>>12&7 != 3 {
			return out, errVBA
		}
		chunk := cut(b, 2, head&0xfff+1)
		b = b[2+len(chunk):]
		if head&0x8000 == 0 {
			out = append(out, chunk...)
			continue
		}
		var err error
		if out, err = vbaChunk(out, chunk); err != nil {
			return out, err
		}
	}
	return out, nil
}

// vbaChunk unpacks one chunk: literals, and copies of what the chunk has already, 4096 octets at most.
func vbaChunk(out, chunk []byte) ([]byte, error) {
	start := len(out)
	for len(chunk) > 0 {
		flags := chunk[0]
		chunk = chunk[1:]
		for bit := 0; bit < 8 && len(chunk) > 0; bit++ {
			if flags>>bit&1 == 0 {
				out, chunk = append(out, chunk[0]), chunk[1:]
				continue
			}
			if len(chunk) < 2 {
				return out, errVBA
			}
			have, width := len(out)-start, 4
			for 1<<width < have {
				width++
			}
			token := u16(chunk, 0)
			chunk = chunk[2:]
			length, back := token&(0xffff>>width)+3, token>>(16-width)+1
			if width > 12 || back > have {
				return out, errVBA
			}
			for range min(length, 4096-have) {
				out = append(out, out[len(out)-back])
			}
		}
		if len(out)-start >= 4096 {
			break
		}
	}
	return out, nil
}

// vbaModule is a module of a project.
type vbaModule struct {
	name     string
	source   string
	compiled []byte // p-code, which runs in the version of Office that wrote it, whatever the source says
	missing  bool   // there is compiled code and no source text
}

// vbaModules reads the modules of a project: storage is the one that has the stream "dir". The list in dir is believed where it
// works; each stream is searched for source text besides, since a list that is wrong stops us and not Office.
func vbaModules(f *cfb, storage int) []vbaModule {
	type place struct {
		name   string
		offset int
	}
	listed := map[string]place{}
	if dir, err := vbaUnpack(f.stream(storage, "dir"), maxVBA); err == nil || len(dir) > 0 {
		vbaDir(dir, func(name, stream string, offset int) { listed[strings.ToLower(stream)] = place{name, offset} })
	}
	var out []vbaModule
	total := 0
	for _, c := range f.entries[storage].children {
		e := &f.entries[c]
		lower := strings.ToLower(e.name)
		if e.kind != cfbStream || lower == "dir" || lower == "_vba_project" || strings.HasPrefix(lower, "__srp_") || len(out) >= 1000 {
			continue
		}
		b, err := f.read(c)
		if err != nil {
			break
		}
		p, known := listed[lower]
		m := vbaModule{name: e.name, compiled: b}
		var source []byte
		if known && p.offset <= len(b) {
			m.compiled = b[:p.offset]
			source, _ = vbaUnpack(b[p.offset:], min(maxVBA, 4*maxVBA-total))
			if p.name != "" {
				m.name = p.name
			}
		}
		if len(source) == 0 {
			// The container of a module begins with "Attribut", a literal: a flag octet before it and one behind it.
			if at := bytes.Index(b, []byte("\x00Attribut\x00")); at >= 3 && b[at-3] == 1 {
				m.compiled = b[:at-3]
				source, _ = vbaUnpack(b[at-3:], min(maxVBA, 4*maxVBA-total))
			}
		}
		total += len(source)
		m.missing = len(bytes.TrimSpace(source)) == 0 && known && len(m.compiled) > 0
		m.source = latin(source)
		if known || len(source) > 0 {
			out = append(out, m)
		}
	}
	return out
}

// vbaDir reads the list of modules. [MS-OVBA] 2.3.4.2.
func vbaDir(b []byte, module func(name, stream string, offset int)) {
	var name, stream string
	offset := 0
	for at := 0; at+6 <= len(b); {
		id, n := u16(b, at), int(int32(u32(b, at+2)))
		if id == 0x09 {
			n = 6 // its size says 4 and does not count the minor version
		}
		if n < 0 || n > len(b) {
			return
		}
		data := cut(b, at+6, n)
		at += 6 + n
		switch id {
		case 0x19:
			name, stream, offset = narrow(data), "", 0
		case 0x47:
			name = wide(data)
		case 0x1A:
			stream = narrow(data)
		case 0x32:
			stream = wide(data)
		case 0x31:
			offset = int(u32(data, 0) & 0x7fffffff)
		case 0x2B:
			if stream == "" {
				stream = name
			}
			if stream != "" {
				module(name, stream, offset)
			}
		}
	}
}
