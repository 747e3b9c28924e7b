package archive

import (
	"archive/tar"
	"bytes"
	"compress/flate"
	"compress/gzip"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"hash/crc32"
	"os"
	"os/exec"
	"runtime"
	"runtime/debug"
	"strings"
	"syscall"
	"testing"
	"time"

	"gatepost/internal/unpack"
)

// bombLimit is the memory that a process may have that opens a bomb, in octets.
const bombLimit = 512 << 20

// bombs are archives that are made to fill memory, disk or time, each with the limit that stops it and how it is packed.
func bombs() map[string]struct {
	build func() []byte
	want  unpack.Limit
} {
	type bomb = struct {
		build func() []byte
		want  unpack.Limit
	}
	return map[string]bomb{
		"10 GB of zeros in gz, members":    {func() []byte { return bytes.Repeat(gzipOf("", make([]byte, 64<<20)), 160) }, unpack.TooMuch},
		"10 GB of zeros in gz, one member": {gzipBomb, unpack.TooMuch},
		"10 GB of zeros in xz":             {func() []byte { return bytes.Repeat(xzOf(make([]byte, 4<<20)), 2560) }, unpack.TooMuch},
		"10 GB of zeros in bz2":            {bzip2Bomb, unpack.TooMuch},
		"10 GB of zeros in zst":            {func() []byte { return bytes.Repeat(zstdOf(make([]byte, 16<<20)), 640) }, unpack.TooMuch},
		"10 GB of zeros in lz":             {func() []byte { return bytes.Repeat(lzipOf(make([]byte, 4<<20)), 2560) }, unpack.TooMuch},
		"zips in zips, 16 each, like 42":   {func() []byte { return layers(5, 16, 1<<20) }, unpack.TooMuch},
		"100,000 entries":                  {manyEntries, unpack.TooManyEntries},
		"100,000 entries, 7z":              {manySeven, unpack.TooManyEntries},
		"10,000 entries, tar in gz":        {manyTar, unpack.TooManyEntries},
		"200 levels":                       {func() []byte { return nested(200) }, unpack.TooDeep},
		"a zip that holds itself":          {quine, unpack.TooDeep},
		"entries that share their content": {overlapping, unpack.TooMuch},
		"7z with a huge dictionary, LZMA2": {func() []byte { return hugeSeven(sevenLZMA2, "\x25") }, unpack.TooBig},
		"7z with a huge dictionary, LZMA":  {func() []byte { return hugeSeven(sevenLZMA, "\x5d\xff\xff\xff\x7f") }, unpack.TooBig},
		"7z with a huge model, PPMd":       {func() []byte { return hugeSeven(sevenPPMd, "\x06\xff\xff\xff\x7f") }, unpack.TooBig},
		"rar with a huge dictionary": {func() []byte {
			return rar5Of(0, rarFile{name: "a", content: strings.Repeat("x", 100), dictionary: 13, unpacked: 1 << 33})
		}, unpack.TooBig},
		"xz with a huge dictionary": {hugeXZ, unpack.TooBig},
		"lz with a huge dictionary": {func() []byte { return append([]byte("LZIP\x01\x1d"), make([]byte, 100)...) }, unpack.TooBig},
		"zst with a huge window":    {func() []byte { return []byte("\x28\xb5\x2f\xfd\x00\xa0\x01\x00\x00\x00") }, unpack.TooBig},
		"zip with LZMA of a huge dictionary": {func() []byte {
			return zipOf(part{name: "a", method: 14, flags: 2, raw: []byte("\x09\x14\x05\x00\x5d\xff\xff\xff\x7f\x00\x00\x00\x00\x00\x00"), size: 1 << 31})
		}, unpack.TooBig},
		"tar with a hole of 1 TB":     {sparse, unpack.TooMuch},
		"cab whose files all are one": {cabBomb, unpack.TooManyEntries},
		"iso with a file of 4 GB":     {func() []byte { return isoHuge() }, ""},
		"7z of 4 billion names":       {sevenCounts, ""},
	}
}

// gzipBomb is one member of 10 GB of zeros: a block of deflate that repeats itself, behind each other.
func gzipBomb() []byte {
	var block bytes.Buffer
	w, _ := flate.NewWriter(&block, flate.BestCompression)
	zeros := make([]byte, 1<<20)
	_, _ = w.Write(zeros)
	_ = w.Flush()
	first := block.Len()
	_, _ = w.Write(zeros)
	_ = w.Flush()
	var b bytes.Buffer
	put(&b, "\x1f\x8b\x08\x00\x00\x00\x00\x00\x02\xff", block.Bytes()[:first])
	for range 10 << 10 {
		b.Write(block.Bytes()[first:])
	}
	return b.Bytes()
}

// bzip2Bomb is 45 MB of zeros as bzip2 packs them, as often as makes 10 GB.
func bzip2Bomb() []byte {
	one, err := base64.StdEncoding.DecodeString(zeros45)
	if err != nil {
		panic(err)
	}
	return bytes.Repeat(one, 240)
}

// layers is a ZIP of so many copies of a ZIP, so deep, with zeros at its core.
func layers(depth, copies, core int) []byte {
	b := zipOf(part{name: "zeros", content: string(make([]byte, core)), method: 8})
	for range depth {
		packed := deflated(b)
		var parts []part
		for i := range copies {
			parts = append(parts, part{name: fmt.Sprintf("%02d.zip", i), content: string(b), raw: packed, method: 8})
		}
		b = zipOf(parts...)
	}
	return b
}

func manyEntries() []byte {
	parts := make([]part, 100000)
	for i := range parts {
		parts[i].name = fmt.Sprintf("%06d", i)
	}
	return zipOf(parts...)
}

func manySeven() []byte {
	names, sizes := make([]string, 100000), make([]uint64, 100000)
	for i := range names {
		names[i], sizes[i] = fmt.Sprint(i), 1
	}
	return sevenOf(sevenCopy, "", make([]byte, len(names)), uint64(len(names)), names, sizes)
}

func manyTar() []byte {
	one := tarOf(tar.Header{Name: "a"})[:tarBlock]
	var b bytes.Buffer
	w, _ := gzip.NewWriterLevel(&b, gzip.BestSpeed)
	for range 10000 {
		_, _ = w.Write(one)
	}
	_ = w.Close()
	return b.Bytes()
}

// overlapping is a ZIP as Fifield builds it: the local headers lie in one file after the other, each stored block of deflate quotes the
// header of the next, and all end in one kernel of zeros.
func overlapping() []byte {
	const files, kernel = 200, 32 << 20
	zeros := deflated(make([]byte, kernel))
	var b bytes.Buffer
	// From the last to the first: what follows the header of a file is what it unpacks to.
	tail, content := zeros, kernel
	var heads []int
	for i := files - 1; i >= 0; i-- {
		var h bytes.Buffer
		name := fmt.Sprintf("%03d", i)
		put(&h, zipLocal, uint16(20), uint16(0), uint16(8), uint32(0), uint32(0), uint32(len(tail)), uint32(content), uint16(len(name)), uint16(0), name)
		head := h.Bytes()
		heads = append(heads, len(head)+len(tail))
		whole := append(append([]byte(nil), head...), tail...)
		quote := append([]byte{0, byte(len(head)), byte(len(head) >> 8), ^byte(len(head)), ^byte(len(head) >> 8)}, whole...)
		content += len(head)
		if i == 0 {
			b.Write(whole)
			break
		}
		tail = quote
	}
	var dir bytes.Buffer
	total := b.Len()
	for i := range files {
		at := total - heads[files-1-i]
		h := b.Bytes()[at:]
		put(&dir, zipCentral, uint16(20), h[4:8], h[8:10], uint32(0), h[14:28], uint16(0), uint16(0), uint16(0), uint16(0), uint32(0), uint32(at), h[30:33])
	}
	put(&b, dir.Bytes(), zipEnd, uint32(0), uint16(files), uint16(files), uint32(dir.Len()), uint32(total), uint16(0))
	return b.Bytes()
}

// hugeSeven is a 7z of 2 KB whose one file claims to be, and to need, gigabytes.
func hugeSeven(method, properties string) []byte {
	return sevenOf(method, properties, make([]byte, 1900), 1<<31, []string{"a.exe"}, []uint64{1 << 31})
}

func hugeXZ() []byte {
	h := []byte("\x02\x00\x21\x01\x25\x00\x00\x00")
	h = binary.LittleEndian.AppendUint32(h, crc32.ChecksumIEEE(h))
	head := "\xfd7zXZ\x00\x00\x00"
	sum := binary.LittleEndian.AppendUint32(nil, crc32.ChecksumIEEE([]byte(head[6:])))
	return append(append([]byte(head+string(sum)), h...), "\x01\x00\x00x\x00"...)
}

// sparse is a tar of GNU whose file is a hole.
func sparse() []byte {
	b := tarOf(tar.Header{Name: "hole", Format: tar.FormatGNU})
	h := b[:tarBlock]
	h[156] = 'S'
	octal := func(at, n int, v int64) { copy(h[at:], fmt.Sprintf("%0*o ", n-1, v)) }
	octal(386, 12, 1<<35-1)
	octal(398, 12, 0)
	octal(483, 12, 1<<35-1)
	copy(h[148:156], "        ")
	sum := 0
	for _, c := range h {
		sum += int(c)
	}
	copy(h[148:], fmt.Sprintf("%06o\x00 ", sum))
	return b
}

// cabBomb is a cabinet with files that all start before the end of the one before.
func cabBomb() []byte {
	names, contents := []string{}, []string{}
	for i := range 3000 {
		names, contents = append(names, fmt.Sprint(i)), append(contents, strings.Repeat("x", 20))
	}
	b := cabOf(0, names, contents)
	at := u32(b[16:])
	for range names { // each claims all of the folder, and to start at its start
		binary.LittleEndian.PutUint32(b[at:], 60000)
		binary.LittleEndian.PutUint32(b[at+4:], 0)
		at += 16 + int64(bytes.IndexByte(b[at+16:], 0)) + 1
	}
	return b
}

func isoHuge() []byte {
	b := isoOf("HUGE.BIN", "x")
	at := bytes.Index(b, []byte("HUGE.BIN"))
	binary.LittleEndian.PutUint32(b[at-33+10:], 1<<32-1)
	return b
}

// sevenCounts is a 7z that says of itself that it has 4 billion files.
func sevenCounts() []byte {
	h := []byte("\x01\x05\xf0\xff\xff\xff\xff\x00\x00")
	return append(startHeader(0, h), h...)
}

// bombReport is what the process tells that opened a bomb.
type bombReport struct {
	Limit   unpack.Limit
	Signs   []unpack.Sign
	Objects int
	Heap    uint64 // octets of address space that its heap ever took
	Built   time.Duration
	Took    time.Duration
}

// addresses is how much address space the process takes, in octets, before it opens anything.
func addresses() uint64 {
	var pages uint64
	b, err := os.ReadFile("/proc/self/statm")
	if err == nil {
		_, err = fmt.Sscan(string(b), &pages)
	}
	if err != nil {
		panic(err)
	}
	return pages * uint64(os.Getpagesize())
}

// TestMain opens a bomb, in the process of TestBombs.
func TestMain(m *testing.M) {
	name := os.Getenv("GATEPOST_TEST_BOMB")
	if name == "" {
		os.Exit(m.Run())
	}
	began := time.Now()
	b := bombs()[name].build()
	built := time.Since(began)
	debug.FreeOSMemory()
	debug.SetMemoryLimit(bombLimit / 2)
	if !raceDetector { // whose shadow takes terabytes of addresses
		limit := addresses() + bombLimit
		if err := syscall.Setrlimit(syscall.RLIMIT_AS, &syscall.Rlimit{Cur: limit, Max: limit}); err != nil {
			panic(err)
		}
	}
	l := plenty()
	l.Octets, l.Object = 48<<20, 8<<20
	if strings.HasPrefix(name, "cab") {
		l.Octets = 1 << 30 // the work is what is tried here
	}
	var t testing.T
	r := walkOf(&t, "bomb", b, l)
	out := bombReport{Limit: r.Limit, Objects: len(r.Objects), Built: built, Took: time.Since(began) - built}
	for _, o := range r.Objects {
		out.Signs = append(out.Signs, o.Signs...)
	}
	var s runtime.MemStats
	runtime.ReadMemStats(&s)
	out.Heap = s.HeapSys
	_ = json.NewEncoder(os.Stdout).Encode(out)
	os.Exit(0)
}

// TestBombs: what is made to fill memory or time is stopped by the limit that it meets, in a process that has little memory.
func TestBombs(t *testing.T) {
	for name, b := range bombs() {
		cmd := exec.Command(os.Args[0])
		cmd.Env = append(os.Environ(), "GATEPOST_TEST_BOMB="+name)
		var stderr bytes.Buffer
		cmd.Stderr = &stderr
		out, err := cmd.Output()
		if err != nil {
			t.Errorf("%s: %v: %.500s", name, err, stderr.String())
			continue
		}
		var r bombReport
		if err := json.Unmarshal(out, &r); err != nil {
			t.Fatalf("%s: %v: %s", name, err, out)
		}
		t.Logf("%-36s %-8s %5d objects, heap %3d MiB, built in %v, opened in %v", name, r.Limit, r.Objects, r.Heap>>20,
			r.Built.Round(time.Millisecond), r.Took.Round(time.Millisecond))
		if r.Limit != b.want || r.Heap > bombLimit {
			t.Errorf("%s: limit %q (want %q), a heap of %d MiB, signs %v", name, r.Limit, b.want, r.Heap>>20, r.Signs)
		}
	}
}
