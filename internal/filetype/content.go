package filetype

import (
	"bytes"
	"encoding/binary"
	"strings"

	"github.com/gabriel-vasile/mimetype"
)

// Binary is the type of content that nobody knows (RFC 2046 section 4.5.1).
const Binary = "application/octet-stream"

// ByContent tells the media type of content by its octets, the best all of them. Of formats that lie at a fixed place behind
// the beginning (ISO 9660, VHD, DMG) it can tell only what it is shown. An empty content is "application/x-empty".
func ByContent(c []byte) string {
	if len(c) == 0 {
		return "application/x-empty"
	}
	if t := byMagic(c); t != "" {
		return t
	}
	t := mimetype.Detect(c).String()
	t, _, _ = strings.Cut(t, ";")
	switch t {
	case "application/vnd.microsoft.portable-executable": // it looks at two letters
		if bytes.IndexByte(c[:min(len(c), 512)], 0) < 0 {
			return "text/plain"
		}
		return Binary
	case "application/x-os2-inf", "application/marc", "application/x-amf", "application/vnd.nintendo.snes.rom", "application/bufr", "application/x-dbf":
		return Binary // these look at too little to be believed
	}
	if strings.HasPrefix(t, "text/") || strings.HasSuffix(t, "xml") {
		if s := byText(c); s != "" {
			return s
		}
	}
	return t
}

// byMagic knows what mimetype does not, or takes for something else.
func byMagic(c []byte) string {
	switch {
	case isPE(c):
		return "application/vnd.microsoft.portable-executable"
	case at(c, 0, "MSCF"):
		return "application/vnd.ms-cab-compressed"
	case at(c, 7, "**ACE**"):
		return "application/x-ace-compressed"
	case at(c, 2, "-lh") && at(c, 6, "-"), at(c, 2, "-lz") && at(c, 6, "-"):
		return "application/x-lzh-compressed"
	case len(c) > 10 && c[0] == 0x60 && c[1] == 0xea && binary.LittleEndian.Uint16(c[2:]) <= 2600:
		return "application/x-arj"
	case at(c, 0, "vhdxfile"):
		return "application/x-vhdx"
	case at(c, 0, "KDMV"), at(c, 0, "# Disk DescriptorFile"):
		return "application/x-vmdk"
	case at(c, 64, "\x7f\x10\xda\xbe"):
		return "application/x-vdi"
	case at(c, 0, "QFI\xfb"):
		return "application/x-qcow2"
	case at(c, 0, "MSWIM\x00\x00\x00"):
		return "application/x-ms-wim"
	case at(c, 0, "conectix"), at(c, len(c)-512, "conectix"):
		return "application/x-vhd"
	case at(c, len(c)-512, "koly"):
		return "application/x-apple-diskimage"
	case at(c, 32769, "CD001"), at(c, 32769, "BEA01"), at(c, 32769, "NSR0"), at(c, 37633, "CD001"):
		return "application/x-iso9660-image"
	case at(c, 510, "\x55\xaa") && (at(c, 54, "FAT") || at(c, 82, "FAT") || at(c, 3, "NTFS    ") || at(c, 3, "EXFAT   ")):
		return "application/x-raw-disk-image"
	case at(c, 0, "\x78\x9f\x3e\x22"):
		return "application/ms-tnef"
	case at(c, 0, "!BDN"):
		return "application/vnd.ms-outlook-pst"
	case at(c, 0, "L\x00\x00\x00\x01\x14\x02\x00"):
		return "application/x-ms-shortcut"
	case at(c, 0, "regf"):
		return "application/x-ms-registry-hive"
	}
	return ""
}

// isPE reports whether content is a program of DOS or Windows, and no text that begins with its two letters.
func isPE(c []byte) bool {
	if !at(c, 0, "MZ") && !at(c, 0, "ZM") || len(c) < 28 {
		return false
	}
	return bytes.IndexByte(c[:min(len(c), 64)], 0) >= 0
}

// texts are what a text that does something begins with: behind blanks, in any case of letters.
var texts = [...]struct{ begin, media string }{
	{"[internetshortcut]", "application/x-mswinurl"},
	{"[{000214a0-0000-0000-c000-000000000046}]", "application/x-mswinurl"},
	{"[desktop entry]", "application/x-desktop"},
	{"[shell]", "application/x-ms-scf"},
	{"[.shellclassinfo]", "application/x-ms-scf"},
	{"windows registry editor version", "text/x-ms-regedit"},
	{"regedit4", "text/x-ms-regedit"},
	{"[version]\r\nsignature", "text/x-ms-inf"},
	{"id;p", "application/x-sylk"},
	{"web\r\n1\r\n", "application/x-ms-iqy"},
	{"xlodbc\r\n", "application/x-ms-iqy"},
	{"@echo off", "application/x-bat"},
	{"#!", "text/x-shellscript"},
	{"<?php", "text/x-php"},
	{"begin:vcalendar", "text/calendar"},
	{"begin:vcard", "text/vcard"},
}

// elements are what stands in the beginning of HTML and XML that does something.
var elements = [...]struct{ tag, media string }{
	{"<hta:application", "application/hta"},
	{"<scriptlet", "text/scriptlet"},
	{"<librarydescription", "application/windows-library+xml"},
	{"<searchconnectordescription", "application/windows-search-connector+xml"},
	{"<persistedquery", "application/windows-search+xml"},
	{"<pcsettings", "application/x-ms-settingcontent"},
	{"<mmc_consolefile", "application/x-ms-msc"},
	{"<jnlp", "application/x-java-jnlp-file"},
	{"<svg", "image/svg+xml"},
	{"<html", "text/html"},
	{"<script", "text/html"},
}

// byText tells what a text does; "" for nothing special.
func byText(c []byte) string {
	head := c[:min(len(c), 4096)]
	head = bytes.TrimPrefix(head, []byte("\xef\xbb\xbf"))
	head = bytes.ToLower(bytes.TrimLeft(head, " \t\r\n\f\v"))
	for _, t := range texts {
		if bytes.HasPrefix(head, []byte(t.begin)) {
			return t.media
		}
	}
	if !bytes.HasPrefix(head, []byte("<")) {
		return ""
	}
	if bytes.Contains(head, []byte("<job")) && bytes.Contains(head, []byte("<script")) || bytes.HasPrefix(head, []byte("<package")) && bytes.Contains(head, []byte("<script")) {
		return "application/x-wsf"
	}
	for _, e := range elements {
		if bytes.Contains(head, []byte(e.tag)) {
			return e.media
		}
	}
	return ""
}

// at reports whether content has a text at a place.
func at(c []byte, place int, text string) bool {
	return place >= 0 && len(c) >= place+len(text) && string(c[place:place+len(text)]) == text
}

// ByType is the group of a media type in lower case, as ByContent tells it or as a part claims it.
func ByType(media string) Group {
	switch media {
	case "application/vnd.microsoft.portable-executable", "application/x-elf", "application/x-executable", "application/x-sharedlib", "application/x-object", "application/x-coredump",
		"application/x-mach-binary", "application/x-java-applet", "application/java-archive", "application/x-java-archive", "application/vnd.android.package-archive", "application/x-ms-installer",
		"application/x-msi", "application/x-msdownload", "application/x-msdos-program", "application/x-dosexec", "application/x-shockwave-flash", "application/wasm", "application/x-ms-msc",
		"application/vnd.debian.binary-package", "application/x-rpm", "application/x-chrome-extension", "application/x-ms-registry-hive":
		return Executable
	case "text/javascript", "application/javascript", "application/x-javascript", "application/hta", "application/x-wsf", "text/scriptlet", "application/x-bat", "text/x-shellscript", "application/x-sh",
		"application/x-shellscript", "text/x-php", "application/x-php", "text/x-python", "application/x-bytecode.python", "text/x-perl", "text/x-ruby", "text/x-lua", "text/x-tcl", "text/x-ms-regedit",
		"text/x-ms-inf", "text/vbscript", "text/x-powershell":
		return Script
	case "application/x-ms-shortcut", "application/x-mswinurl", "application/x-desktop", "application/x-ms-scf", "application/windows-library+xml", "application/windows-search-connector+xml",
		"application/windows-search+xml", "application/x-ms-settingcontent", "application/x-java-jnlp-file":
		return Shortcut
	case "application/x-sylk", "application/x-ms-iqy", "application/vnd.ms-excel.addin.macroenabled.12", "application/vnd.ms-powerpoint.addin.macroenabled.12":
		return Addin
	case "application/vnd.ms-htmlhelp", "application/x-os2-hlp", "application/winhlp", "application/mshelp":
		return Help
	case "application/x-iso9660-image", "application/x-vhd", "application/x-vhdx", "application/x-vmdk", "application/x-vdi", "application/x-qcow2", "application/x-ms-wim", "application/x-apple-diskimage",
		"application/x-raw-disk-image":
		return DiskImage
	case "application/zip", "application/x-zip-compressed", "application/gzip", "application/x-gzip", "application/x-7z-compressed", "application/vnd.rar", "application/x-rar-compressed", "application/x-tar",
		"application/x-xz", "application/x-bzip2", "application/zstd", "application/lzip", "application/x-xar", "application/x-archive", "application/x-cpio", "application/vnd.ms-cab-compressed",
		"application/x-installshield", "application/x-ace-compressed", "application/x-lzh-compressed", "application/x-arj", "application/epub+zip", "application/vnd.google-earth.kmz":
		return Archive
	case "application/pdf", "application/x-pdf", "application/vnd.fdf", "application/vnd.adobe.xfdf":
		return PDF
	case "application/onenote", "application/msonenote":
		return OneNote
	case "application/x-msaccess", "application/vnd.sqlite3", "application/x-dbf", "application/msaccess":
		return Database
	case "text/html", "application/xhtml+xml":
		return HTML
	case "image/svg+xml":
		return SVG
	case "message/rfc822", "application/vnd.ms-outlook", "application/vnd.ms-outlook-pst", "application/ms-tnef", "application/vnd.ms-tnef":
		return Mail
	case "text/calendar", "text/vcard", "text/x-vcard":
		return Calendar
	case "application/pkcs7-signature", "application/x-pkcs7-signature", "application/pkcs7-mime", "application/x-pkcs7-mime", "application/pgp-signature", "application/pgp-encrypted", "application/pgp-keys":
		return Signature
	case "text/rtf", "application/rtf", "application/msword", "application/x-ole-storage", "application/postscript", "image/vnd.dwg", "image/vnd.dxf", "application/oxps", "application/vnd.wordperfect":
		return Office
	case "application/json", "application/xml", "application/x-ndjson":
		return Text
	}
	return byTree(media)
}

// byTree is the group of a media type by its first word, or by how it begins.
func byTree(media string) Group {
	switch {
	case strings.Contains(media, "macroenabled"):
		return Macro
	case strings.HasPrefix(media, "application/vnd.openxmlformats-"), strings.HasPrefix(media, "application/vnd.oasis."), strings.HasPrefix(media, "application/vnd.ms-"),
		strings.HasPrefix(media, "application/vnd.sun."):
		return Office
	}
	switch top, _, _ := strings.Cut(media, "/"); top {
	case "text":
		return Text
	case "image":
		return Image
	case "audio":
		return Audio
	case "video":
		return Video
	case "font":
		return Font
	}
	return None
}
