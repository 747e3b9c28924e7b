package archive

import "unicode/utf16"

// streamsInfo reads where content is and how it is packed.
func (h *sevenHeader) streamsInfo(s *seven) {
	id := s.octet()
	if id == k7Pack {
		h.start = s.number()
		n := s.count(len(s.b))
		for id = s.octet(); id != k7End && !s.bad; id = s.octet() {
			switch id {
			case k7Size:
				for range n {
					h.packed = append(h.packed, s.number())
				}
			case k7CRC:
				s.digests(n)
			default:
				s.fail()
			}
		}
		id = s.octet()
	}
	if id == k7Unpack {
		h.unpackInfo(s)
		id = s.octet()
	}
	for i := range h.folders {
		h.folders[i].files = 1
	}
	if id == k7SubStreams {
		h.subStreams(s)
		id = s.octet()
	}
	if id != k7End {
		s.fail()
	}
}

func (h *sevenHeader) unpackInfo(s *seven) {
	if s.octet() != k7Folder {
		s.fail()
	}
	n := s.count(len(s.b))
	if s.octet() != 0 {
		s.fail()
	}
	packs := 0
	for i := 0; i < n && !s.bad; i++ {
		f := s.folder()
		packs += f.packs
		h.folders = append(h.folders, f)
	}
	if s.octet() != k7CodersSize || packs > len(h.packed) {
		s.fail()
	}
	for i := range h.folders {
		for range h.folders[i].out {
			h.folders[i].sizes = append(h.folders[i].sizes, s.number())
		}
	}
	for id := s.octet(); id != k7End && !s.bad; id = s.octet() {
		if id != k7CRC {
			s.fail()
		}
		s.digests(n)
	}
}

func (h *sevenHeader) subStreams(s *seven) {
	total := 0
	id := s.octet()
	if id == k7NumStreams {
		for i := range h.folders {
			h.folders[i].files = s.count(sevenHeaderAt)
		}
		id = s.octet()
	}
	for i := range h.folders {
		total += h.folders[i].files
	}
	if total > len(s.b)*8+len(h.folders) {
		s.fail()
	}
	for ; id != k7End && !s.bad; id = s.octet() {
		switch id {
		case k7Size:
			for _, f := range h.folders {
				for range max(0, f.files-1) {
					if s.number(); s.bad {
						return
					}
				}
			}
		case k7CRC:
			s.digests(total)
		default:
			s.fail()
		}
	}
}

// filesInfo reads the names, at most so many.
func (h *sevenHeader) filesInfo(s *seven, most int) (all int) {
	all = s.count(len(s.b) / 2) // a name has at least its end
	h.files = make([]sevenFile, min(all, most))
	for id := s.octet(); id != k7End && !s.bad; id = s.octet() {
		p := &seven{b: s.take(s.count(len(s.b)))}
		switch id {
		case k7EmptyStream:
			for i := range h.files {
				if i/8 < len(p.b) {
					h.files[i].empty = p.b[i/8]&(0x80>>(i%8)) != 0
				}
			}
		case k7Names:
			if p.octet() != 0 {
				s.fail()
			}
			for i := range h.files {
				h.files[i].name = p.utf16()
			}
			if p.bad {
				s.fail()
			}
		case k7Attributes:
			if every, external := p.octet(), p.octet(); every != 1 || external != 0 {
				continue
			}
			for i := range h.files {
				if len(p.b) >= 4 {
					h.files[i].attr = u32(p.take(4))
				}
			}
		}
	}
	for i := range h.files {
		f := &h.files[i]
		f.folder = f.empty && f.attr&0x10 != 0
		if !f.empty {
			h.streams++
		}
	}
	return all
}

// utf16 reads a name and its end.
func (s *seven) utf16() string {
	var u []uint16
	for {
		c := s.take(2)
		if c == nil || c[0] == 0 && c[1] == 0 {
			return string(utf16.Decode(u))
		}
		u = append(u, uint16(u16(c)))
	}
}
