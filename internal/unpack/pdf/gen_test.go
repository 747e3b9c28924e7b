package pdf

import (
	"bytes"
	"compress/lzw"
	"compress/zlib"
	"encoding/ascii85"
	"encoding/hex"
	"fmt"
	"strings"
)

// write writes a PDF of objects, numbered from 1, of which the first is the catalog.
func write(objects ...string) []byte { return writeAt("", "", objects...) }

func writeAt(before, trailer string, objects ...string) []byte {
	var b bytes.Buffer
	b.WriteString(before + "%PDF-1.7\n%\xe2\xe3\xcf\xd3\n")
	var at []int
	for i, o := range objects {
		at = append(at, b.Len())
		fmt.Fprintf(&b, "%d 0 obj\n%s\nendobj\n", i+1, o)
	}
	xref := b.Len()
	fmt.Fprintf(&b, "xref\n0 %d\n0000000000 65535 f \n", len(objects)+1)
	for _, a := range at {
		fmt.Fprintf(&b, "%010d 00000 n \n", a)
	}
	fmt.Fprintf(&b, "trailer\n<</Size %d /Root 1 0 R %s>>\nstartxref\n%d\n%%%%EOF\n", len(objects)+1, trailer, xref)
	return b.Bytes()
}

func streamOf(dict, data string) string {
	return fmt.Sprintf("<<%s /Length %d>>\nstream\n%s\nendstream", dict, len(data), data)
}

func deflate(s string) string {
	var b bytes.Buffer
	z := zlib.NewWriter(&b)
	_, _ = z.Write([]byte(s))
	_ = z.Close()
	return b.String()
}

func to85(s string) string {
	out := make([]byte, ascii85.MaxEncodedLen(len(s)))
	return string(out[:ascii85.Encode(out, []byte(s))]) + "~>"
}

// packLZW writes LZW with early change: by clearing the table before its codes grow, both kinds are the same.
func packLZW(s string) string {
	var out []byte
	var bits, have uint
	put := func(code uint) {
		bits, have = bits<<9|code, have+9
		for have >= 8 {
			out = append(out, byte(bits>>(have-8)))
			have -= 8
		}
	}
	for i := range len(s) {
		if i%200 == 0 {
			put(256)
		}
		put(uint(s[i]))
	}
	put(257)
	return string(append(out, byte(bits<<(8-have))))
}

func lateLZW(s string) string {
	var b bytes.Buffer
	z := lzw.NewWriter(&b, lzw.MSB, 8)
	_, _ = z.Write([]byte(s))
	_ = z.Close()
	return b.String()
}

const (
	pages = "<</Type /Pages /Kids [3 0 R] /Count 1>>"
	page  = "<</Type /Page /Parent 2 0 R /MediaBox [0 0 200 200]>>"
)

// generated are PDFs of this package's own making.
func generated() map[string][]byte {
	out := map[string][]byte{}
	out["10-plain.pdf"] = write("<</Type /Catalog /Pages 2 0 R>>", pages, page)
	out["11-javascript.pdf"] = write("<</Type /Catalog /Pages 2 0 R /OpenAction 4 0 R>>", pages, page, "<</S /JavaScript /JS (app.alert\\(1\\); app.launchURL\\(\"http://js.example/x\"\\))>>")
	out["12-hidden-names.pdf"] = write("<</Type /Catalog /Pages 2 0 R /Open#41ction <</S /J#61vaScript /JS <6170702e616c657274283129>>>>>", pages, page)
	out["13-script-stream.pdf"] = write("<</Type /Catalog /Pages 2 0 R /Names <</JavaScript <</Names [(a) 4 0 R]>>>>>>", pages, page, "<</S/JavaScript/JS 5 0 R>>", streamOf("/Filter /FlateDecode", deflate("eval(unescape('x'))")))
	out["14-launch.pdf"] = write("<</Type /Catalog /Pages 2 0 R /OpenAction <</S /Launch /Win <</F (cmd.exe) /P (/c nothing)>>>>>>", pages, page)
	out["15-actions.pdf"] = write("<</Type /Catalog /Pages 2 0 R /AA <</WC <</S /URI /URI (http://wc.example/)>>>>>>", pages, "<</Type /Page /Parent 2 0 R /Annots [4 0 R 5 0 R 6 0 R]>>",
		"<</Subtype /Link /A <</S /URI /URI (http://link.example/a)>>>>", "<</Subtype /Widget /A <</S /SubmitForm /F <</FS /URL /F (http://form.example/)>>>>>>",
		"<</Subtype /Link /A <</S /GoToR /F (\\\\\\\\10.0.0.1\\\\s\\\\f) /D [0 /Fit]>>>>")
	out["28-embedded-names.pdf"] = write("<</Type /Catalog /Pages 2 0 R /Names <</EmbeddedFiles <</Names [(x) 4 0 R]>>>>>>", pages, page, "<</Type /Filespec /F (a.js) /UF (a.txt) /DOS (a.bat) /EF <</F 5 0 R>>>>",
		"<</Type /EmbeddedFile /Length 5>>\nstream\nalert\nendstream")
	out["16-embedded.pdf"] = write("<</Type /Catalog /Pages 2 0 R /Names <</EmbeddedFiles <</Names [(x) 4 0 R]>>>>>>", pages, page, "<</Type /Filespec /F (a.js) /UF <feff0062002e006a0073> /EF <</F 5 0 R>>>>",
		streamOf("/Type /EmbeddedFile /Filter /FlateDecode", deflate("hello")), streamOf("/Type /EmbeddedFile", string(write("<</Type /Catalog /OpenAction <</S /Launch /F (x)>>>>"))))
	index := "4 0 5 40 "
	body := "<</S /URI /URI (http://packed.example/)>>"
	body += strings.Repeat(" ", 40-len(body)%40) + "<</S /JavaScript /JS (x())>>"
	index = fmt.Sprintf("14 0 15 %d ", strings.Index(body, "<</S /Java"))
	out["17-object-stream.pdf"] = write("<</Type /Catalog /Pages 2 0 R>>", pages, page, streamOf(fmt.Sprintf("/Type /ObjStm /N 2 /First %d /Filter /FlateDecode", len(index)), deflate(index+body)))
	for i, f := range []struct{ filter, data string }{
		{"/ASCIIHexDecode", hex.EncodeToString([]byte("js_hex()")) + ">"},
		{"/ASCII85Decode", to85("js_85()")},
		{"/LZWDecode", packLZW(strings.Repeat("js_lzw() ", 90))},
		{"[/ASCIIHexDecode /LZWDecode] /DecodeParms [null <</EarlyChange 0>>]", hex.EncodeToString([]byte(lateLZW("js_late()"))) + ">"},
		{"/RunLengthDecode", "\x04js_rl\xfe!\x80"},
		{"[/A85 /Fl]", to85(deflate("js_both()"))},
	} {
		out[fmt.Sprintf("2%d-filter.pdf", i)] = write("<</Type /Catalog /Pages 2 0 R>>", pages, page, "<</S /JavaScript /JS 5 0 R>>", streamOf("/Filter "+f.filter, f.data))
	}
	out["30-not-at-the-beginning.pdf"] = writeAt("GIF89a is what it says\n", "", "<</Type /Catalog /Pages 2 0 R>>", pages, page)
	out["31-behind-the-end.pdf"] = append(write("<</Type /Catalog /Pages 2 0 R>>", pages, page), []byte(strings.Repeat("MZ and more ", 20))...)
	out["32-circle.pdf"] = write("<</Type /Catalog /OpenAction 2 0 R>>", "3 0 R", "2 0 R", "<</S /JavaScript /JS 2 0 R /Next 4 0 R>>", "<</AA <</O 4 0 R>> /EF <</F 5 0 R>>>>")
	out["33-deep.pdf"] = write("<</Type /Catalog /X "+strings.Repeat("[", 5000)+">>", "<</S /URI /URI (http://after.example/)>>")
	out["34-in-a-stream.pdf"] = write("<</Type /Catalog>>", streamOf("", "\n7 0 obj <</S /JavaScript /JS (inside())>> endobj "))
	out["36-no-trailer.pdf"] = []byte("%PDF-1.1\n1 0 obj<</S/URI/URI(http://bare.example/)>>\n2 0 obj<</JS(x())\n")
	out["37-xfa.pdf"] = write("<</Type /Catalog /AcroForm <</XFA [(a) 2 0 R (b) 3 0 R]>>>>", streamOf("", "<xdp>"), streamOf("/Filter /FlateDecode", deflate("<template><script>x()</script></template>")))
	return out
}
