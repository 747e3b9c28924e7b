package e2e

import (
	"archive/zip"
	"bytes"
	"cmp"
	"compress/gzip"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/klauspost/compress/zstd"
	"github.com/ulikunitz/xz"

	"gatepost/internal/lab"
	"gatepost/internal/lab/labtest"
	"gatepost/internal/lab/mails"
	"gatepost/internal/lab/packing"
)

// TestHidden sends each message of testdata/hidden through one daemon with default policy, a real clamd and the process that
// looks into attachments, and looks at what became of it and which checks objected. The spamd is a fake that finds nothing, so
// that no rule of SpamAssassin hides what the checks of content miss.
//
// A file has fields ("verdict", "sees": the checks that fail or measure something, "pack": what is attached), and behind a line
// of dashes the message, without the fields that each has. In a message {{FILE | STEP NAME | STEP}} stands for octets that are
// made here: no file holds the test virus, packed or not.
func TestHidden(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("testdata/hidden/*.txt")
	if err != nil || len(files) < 70 {
		t.Fatalf("%d files, %v", len(files), err)
	}
	virus := labtest.Clamd(t, lab.ClamdOptions{AtBeginning: true})
	w := begin(t, setup{policy: noGreylist, limits: noWaits + "connections_per_client = 100\n", clamav: "unix:" + virus.Socket})
	w.partIs(t, "unpack", "system calls filtered, landlock version")
	var wg sync.WaitGroup
	room := make(chan struct{}, 4)
	for _, file := range files {
		wg.Go(func() {
			room <- struct{}{}
			defer func() { <-room }()
			c, err := readContent(file)
			if err != nil {
				t.Error(err)
				return
			}
			said, verdict, sees := w.judged(t, c.message)
			name := strings.TrimSuffix(filepath.Base(file), ".txt")
			if verdict != c.verdict || !slices.Equal(sees, c.sees) {
				t.Errorf("%s: verdict: %s\nsees: %s\n%s", name, verdict, strings.Join(sees, " "), said)
			}
		})
	}
	wg.Wait()
}

// contentCase is a message and what is to become of it.
type contentCase struct {
	verdict string
	sees    []string
	message string
}

func readContent(file string) (c contentCase, err error) {
	b, err := os.ReadFile(file)
	if err != nil {
		return c, err
	}
	fields, message, _ := strings.Cut(string(b), "\n---\n")
	pack := ""
	for line := range strings.Lines(fields + "\n") {
		key, value, _ := strings.Cut(strings.TrimSpace(line), ":")
		switch value = strings.TrimSpace(value); key {
		case "verdict":
			c.verdict = value
		case "sees":
			c.sees = strings.Fields(value)
			slices.Sort(c.sees)
		case "pack":
			pack = value
		default:
			if key != "" && !strings.HasPrefix(key, "#") {
				return c, fmt.Errorf("%s: no field is called %q", file, key)
			}
		}
	}
	if pack != "" {
		name, content, err := made(pack)
		if err != nil {
			return c, fmt.Errorf("%s: %w", file, err)
		}
		message = "MIME-Version: 1.0\nContent-Type: multipart/mixed; boundary=next\n\n--next\nContent-Type: text/plain\n\nDear Bob,\n\nthe file you asked for is attached.\n\nAlice\n--next\n" +
			"Content-Type: application/octet-stream\nContent-Disposition: attachment; filename=\"" + name + "\"\nContent-Transfer-Encoding: base64\n\n" + lines64(content) + "--next--\n"
	}
	for {
		before, rest, ok := strings.Cut(message, "{{")
		if !ok {
			break
		}
		recipe, after, ok := strings.Cut(rest, "}}")
		if !ok {
			return c, fmt.Errorf("%s: {{ without an end", file)
		}
		_, content, err := made(recipe)
		if err != nil {
			return c, fmt.Errorf("%s: %w", file, err)
		}
		message = before + string(content) + after
	}
	message = strings.ReplaceAll(strings.ReplaceAll(message, "\r\n", "\n"), "\n", "\r\n")
	top := ""
	for _, f := range [...]string{"From: Alice Adams <alice@example.org>", "To: bob@served.test", "Subject: your file", "Date: " + time.Now().Format(time.RFC1123Z),
		"Message-ID: <" + strings.TrimSuffix(filepath.Base(file), ".txt") + "@example.org>"} {
		name, _, _ := strings.Cut(f, ":")
		if header, _, _ := strings.Cut("\r\n"+message, "\r\n\r\n"); !strings.Contains(header, "\r\n"+name+":") {
			top += f + "\r\n"
		}
	}
	c.message = top + message
	return c, nil
}

// lines64 is base64 in lines.
func lines64(content []byte) string {
	var b strings.Builder
	for line := range slices.Chunk([]byte(base64.StdEncoding.EncodeToString(content)), 76) {
		b.Write(line)
		b.WriteByte('\n')
	}
	return b.String()
}

// made makes what a recipe says: "eicar a.com | zip files.zip | base64". The name is that of the last step that has one.
func made(recipe string) (name string, content []byte, err error) {
	for i, step := range strings.Split(recipe, "|") {
		words := strings.Fields(step)
		if len(words) == 0 {
			return "", nil, fmt.Errorf("%q has an empty step", recipe)
		}
		if i == 0 {
			content, err = source(words[0])
		} else {
			content, err = wrap(words[0], name, content)
		}
		if err != nil {
			return "", nil, fmt.Errorf("%q: %w", recipe, err)
		}
		if len(words) > 1 {
			if name, err = strconv.Unquote(`"` + words[1] + `"`); err != nil {
				return "", nil, fmt.Errorf("%q: %q: %w", recipe, words[1], err)
			}
		}
	}
	return name, content, nil
}

// source is what a recipe begins with.
func source(word string) ([]byte, error) {
	switch word {
	case "eicar":
		return []byte(lab.EICAR()), nil
	case "program":
		return append([]byte("MZ\x90\x00\x03"), make([]byte, 100)...), nil
	case "bz2eicar": // there is no packer here
		return base64.StdEncoding.DecodeString("QlpoOTFBWSZTWYZSy9MAAB8egCZ6BoBvZd9dAAIgAEiKaaAwg09IxqeieoRT1GhkZNGEwjT01N4ovxyQiAlQh+sHQQz7k5qim8zkxhLmdsm1AaIuqgzvsygDz1oZkBD3+LuSKcKEhDKWXpg=")
	case "picture":
		return []byte("GIF89a\x01\x00\x01\x00\x80\x00\x00\xff\xff\xff\x00\x00\x00,\x00\x00\x00\x00\x01\x00\x01\x00\x00\x02\x02D\x01\x00;"), nil
	case "text":
		return []byte("These are notes of nothing in particular.\r\n"), nil
	}
	if digits, ok := strings.CutPrefix(word, "hex:"); ok {
		return hex.DecodeString(digits)
	}
	if b, ok := strings.CutPrefix(word, "file:"); ok {
		return os.ReadFile(filepath.Join("../../unpack", b))
	}
	if quoted, ok := strings.CutPrefix(word, "say:"); ok { // + is a blank
		s, err := strconv.Unquote(`"` + strings.ReplaceAll(quoted, "+", " ") + `"`)
		return []byte(s), err
	}
	return nil, fmt.Errorf("no source is called %q", word)
}

// packers put a file with a name into something.
var packers = map[string]func(name string, content []byte) []byte{
	"zip": mails.Zip, "tar": mails.Tar, "7z": packing.SevenZip, "rar": packing.RAR, "cab": packing.Cabinet, "iso": packing.ISO, "tnef": packing.TNEF, "rtf": packing.RTF, "one": packing.OneNote,
	"docx": packing.Word, "pdf": packing.PDF, "page": packing.Page, "datalink": packing.DataLink, "svg": packing.SVG, "uuencode": packing.UUEncode,
	"gz": func(name string, content []byte) []byte {
		var b bytes.Buffer
		z := gzip.NewWriter(&b)
		z.Name = name
		_, _ = z.Write(content)
		_ = z.Close()
		return b.Bytes()
	},
	"xz": func(_ string, content []byte) []byte {
		var b bytes.Buffer
		z, err := xz.NewWriter(&b)
		if err != nil {
			panic(err)
		}
		_, _ = z.Write(content)
		_ = z.Close()
		return b.Bytes()
	},
	"zst": func(_ string, content []byte) []byte {
		z, err := zstd.NewWriter(nil, zstd.WithEncoderConcurrency(1))
		if err != nil {
			panic(err)
		}
		return z.EncodeAll(content, nil)
	},
	"eml": func(name string, content []byte) []byte {
		return []byte("From: carol@example.org\r\nSubject: inner\r\nMIME-Version: 1.0\r\nContent-Type: application/octet-stream; name=\"" + name + "\"\r\nContent-Transfer-Encoding: base64\r\n\r\n" + lines64(content))
	},
	"base64": func(_ string, content []byte) []byte { return []byte(lines64(content)) },
	"onelong": func(_ string, content []byte) []byte {
		return []byte(base64.StdEncoding.EncodeToString(content) + "\n")
	},
	"short64": func(_ string, content []byte) []byte { // lines of three letters, and noise
		var b strings.Builder
		for part := range slices.Chunk([]byte(base64.StdEncoding.EncodeToString(content)), 3) {
			b.WriteString(string(part) + " !\n")
		}
		return []byte(b.String())
	},
	"pieces64": func(_ string, content []byte) []byte { // a padding in the middle
		return []byte(base64.StdEncoding.EncodeToString(content[:10]) + base64.StdEncoding.EncodeToString(content[10:]) + "\n")
	},
	"quoted": func(_ string, content []byte) []byte { // each octet by its number
		var b strings.Builder
		for i, c := range content {
			if fmt.Fprintf(&b, "=%02X", c); i%20 == 19 {
				b.WriteString("=\n")
			}
		}
		b.WriteString("\n")
		return []byte(b.String())
	},
	"picture": func(_ string, content []byte) []byte { // a picture before it
		p, _ := source("picture")
		return append(p, content...)
	},
	"behind": func(_ string, content []byte) []byte { return append(content, "and more behind it"...) },
	"twice": func(_ string, content []byte) []byte {
		return append(mails.Zip("readme.txt", []byte("hello")), content...)
	},
	"plus": func(_ string, content []byte) []byte {
		return append(content, mails.Zip("readme.txt", []byte("hello"))...)
	},
	"stored": stored,
	"multipart": func(name string, content []byte) []byte {
		return []byte("--next\r\nContent-Type: application/zip; name=\"" + name + "\"\r\nContent-Transfer-Encoding: base64\r\n\r\n" + lines64(content) + "--next--\r\n")
	},
	"pages": func(_ string, content []byte) []byte {
		return append(packing.PDF("a.txt", []byte("hello")), content...)
	},
}

// stored is a ZIP that does not pack.
func stored(name string, content []byte) []byte {
	var b bytes.Buffer
	z := zip.NewWriter(&b)
	if f, err := z.CreateHeader(&zip.FileHeader{Name: name, Method: zip.Store}); err == nil {
		_, _ = f.Write(content)
	}
	_ = z.Close()
	return b.Bytes()
}

func wrap(step, name string, content []byte) ([]byte, error) {
	p, ok := packers[step]
	if !ok {
		return nil, fmt.Errorf("no step is called %q", step)
	}
	return p(cmp.Or(name, "file"), content), nil
}

// judged sends a message and returns what its sender was told, what became of it, and the checks of content that saw something.
func (w *world) judged(t *testing.T, message string) (said, verdict string, sees []string) {
	t.Helper()
	c := w.hello(t)
	c.want("250", "MAIL FROM:<alice@example.org>")
	c.want("250", "RCPT TO:<bob@served.test>")
	c.want("354", "DATA")
	c.send(strings.ReplaceAll("\r\n"+message, "\r\n.", "\r\n..")[2:] + ".\r\n")
	said = c.reply()
	c.want("221", "QUIT")
	e := w.awaitEvent(t, "transaction", "id="+anyRef.FindString(said))
	return said + "\n" + e.text("findings"), e.text("verdict"), seenBy(e)
}

// seenBy are the checks of content that objected, each with what it measured. A question mark stands behind one that could not
// tell. What is there for rules only is left out.
func seenBy(e event) (out []string) {
	all, _ := e["findings"].([]any)
	for _, f := range all {
		f, _ := f.([]any)
		if len(f) < 3 {
			continue
		}
		name, result := plain(f[0]), plain(f[1])
		if name != "mime" && name != "urls" && name != "clamav" && !strings.HasPrefix(name, "attachments.") && !strings.HasPrefix(name, "impersonation.") {
			continue
		}
		what := ""
		measures, _ := f[2].([]any)
		for _, m := range measures {
			if m, _ := m.([]any); len(m) > 0 {
				switch of := plain(m[0]); {
				case name == "clamav", of == "type", of == "extension", strings.Contains(what+":", ":"+of+":"):
				default:
					what += ":" + of
				}
			}
		}
		switch {
		case result == "fail":
			out = append(out, name+what)
		case result == "unknown":
			out = append(out, name+"?"+what)
		case what != "":
			out = append(out, name+what)
		}
	}
	slices.Sort(out)
	return out
}
