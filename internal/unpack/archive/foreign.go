package archive

import (
	"errors"

	"gatepost/internal/unpack"
)

// foreign are archives and packers that are known by their beginnings and not opened: nobody sends them but who hopes for that.
func foreign(head []byte) string {
	at := func(i int, s string) bool { return len(head) >= i+len(s) && string(head[i:i+len(s)]) == s }
	switch {
	case at(0, "\x60\xea") && len(head) > 10 && head[2]|head[3] != 0 && head[10] <= 4:
		return "ARJ"
	case at(7, "**ACE**"):
		return "ACE"
	case at(2, "-lh") && at(6, "-"), at(2, "-lz") && at(6, "-"), at(2, "-pm") && at(6, "-"):
		return "LZH"
	case at(20, "\xdc\xa7\xc4\xfd"):
		return "ZOO"
	case at(0, "SIT!"), at(0, "StuffIt "):
		return "StuffIt"
	case at(0, "ALZ\x01"):
		return "ALZ"
	case at(0, "EGGA"):
		return "EGG"
	case at(0, "UHA\x06"):
		return "UHA"
	case at(0, "\x1f\x9d"):
		return "compress"
	case at(0, "\x1f\xa0"), at(0, "\x1f\xa1"):
		return "SCO compress"
	case at(0, "\x04\x22\x4d\x18"), at(0, "\x02\x21\x4c\x18"):
		return "LZ4"
	case at(0, "\x89LZO\x00\r\n\x1a\n"):
		return "LZO"
	case at(0, "MSWIM\x00\x00\x00"):
		return "WIM"
	case at(0, "xar!"):
		return "XAR"
	case at(0, "KWAJ\x88\xf0\x27\xd1"), at(0, "SZDD\x88\xf0\x27\x33"):
		return "compress of DOS"
	case at(0, "hsqs"), at(0, "sqsh"):
		return "SquashFS"
	case at(0, "\xff\x06\x00\x00sNaPpY"):
		return "Snappy"
	case at(0, "PEA\x01"), at(0, "zPAQ"), at(0, "7kSt"):
		return "an archive of a rare kind"
	}
	return ""
}

func matchForeign(head []byte, _ unpack.Content) bool { return foreign(head) != "" }

func openForeign(_ *lister, c unpack.Content) error {
	b := c.Bytes()
	return errors.New(foreign(b[:min(len(b), unpack.HeadSize)]) + " cannot be opened")
}
