package filetype

// Group is a group of file types, as policy names it.
type Group string

// The groups, in rising order of what they may do to who opens them.
const (
	None       Group = ""             // nobody can tell
	Text       Group = "text"         // plain text and data that is text
	Image      Group = "image"        //
	Audio      Group = "audio"        //
	Video      Group = "video"        //
	Font       Group = "font"         //
	Calendar   Group = "calendar"     // appointments and visiting cards
	Mail       Group = "mail"         // messages and mailboxes
	Signature  Group = "signature"    // signatures, certificates and what is encrypted with OpenPGP or S/MIME
	Office     Group = "office"       // documents without macros by their name; older formats may hold them
	PDF        Group = "pdf"          //
	Database   Group = "database"     // Access and others that run what is in them
	Archive    Group = "archive"      //
	OneNote    Group = "onenote"      //
	HTML       Group = "html"         // what a browser opens, SVG but for images
	SVG        Group = "svg"          //
	Macro      Group = "office_macro" // documents that say to hold macros
	DiskImage  Group = "disk_image"   // what is mounted and then is a folder that no mark of the web reaches
	Addin      Group = "addin"        // what an office program loads as its own, and queries that fetch
	Help       Group = "help"         // help files run script
	Shortcut   Group = "shortcut"     // what starts or fetches something else
	Script     Group = "script"       // what an interpreter of the system runs
	Executable Group = "executable"   // programs, installers and parts of them
)

// order is all that policy may name, in rising order.
var order = [...]Group{Text, Image, Audio, Video, Font, Calendar, Mail, Signature, Office, PDF, Database, Archive, OneNote, HTML, SVG, Macro, DiskImage,
	Addin, Help, Shortcut, Script, Executable}

// Groups are all that policy may name, in rising order.
func Groups() []Group { return append([]Group(nil), order[:]...) }

// Active reports whether opening a file of the group runs, fetches or mounts something by itself.
func (g Group) Active() bool {
	switch g {
	case Executable, Script, Shortcut, Help, Addin, DiskImage:
		return true
	}
	return false
}

// ByExtension is the group of an extension, in lower case and without its dot.
func ByExtension(ext string) Group {
	switch ext {
	case "exe", "scr", "com", "pif", "msi", "msp", "mst", "msu", "msix", "msixbundle", "appx", "appxbundle", "appinstaller", "cpl", "dll", "ocx", "ax", "sys", "drv", "efi",
		"mui", "acm", "tsp", "jar", "class", "application", "xbap", "gadget", "diagcab", "diagpkg", "ops", "prg", "fxp", "app", "shs", "vsix", "xpi", "crx", "ipa", "apk", "aab",
		"xap", "air", "elf", "so", "dylib", "ko", "run", "appimage", "snap", "flatpak", "deb", "rpm", "pkg", "mpkg", "kext", "prefpane", "bundle", "swf", "wasm",
		"workflow", "msc", "ovl", "vxd", "386":
		return Executable
	case "js", "jse", "mjs", "cjs", "vbs", "vbe", "vb", "vba", "bas", "wsf", "wsh", "wsc", "ws", "sct", "hta", "ps1", "ps1xml", "ps2", "ps2xml", "psm1", "psd1", "psc1", "psc2", "pssc",
		"cdxml", "msh", "msh1", "msh2", "mshxml", "msh1xml", "msh2xml", "bat", "cmd", "btm", "sh", "bash", "zsh", "csh", "ksh", "fish", "command", "py", "pyw", "pyc", "pyo",
		"pyz", "pyzw", "pl", "pm", "plx", "rb", "rbw", "php", "php3", "php4", "php5", "php7", "phtml", "phar", "lua", "luac", "tcl", "tk", "ahk", "a3x", "au3", "scpt", "scptd",
		"applescript", "osascript", "reg", "inf", "ins", "isp", "nsh", "asp", "aspx", "jsp", "cgi", "vsmacros", "vsw", "kix", "kixtart", "suo",
		"awk":
		return Script
	case "lnk", "url", "website", "desktop", "webloc", "inetloc", "fileloc", "library-ms", "search-ms", "searchconnector-ms", "settingcontent-ms", "scf", "appref-ms", "shb", "xnk", "grp",
		"mad", "maf", "mag", "maq", "mar", "mas", "mat", "mau", "mav", "maw", "mcf", "mcl", "rdp", "ica", "vnc", "jnlp", "theme", "themepack", "deskthemepack", "cdmp", "job", "symlink",
		"diagcfg", "perfmoncfg", "printerexport", "terminal", "glk", "wcx", "mydocs", "mapimail", "zfsendtotarget", "desklink", "configsettings-ms":
		return Shortcut
	case "chm", "hlp", "chi", "chw", "hxs", "hpj":
		return Help
	case "xll", "wll", "xla", "xlam", "ppa", "ppam", "iqy", "dqy", "oqy", "rqy", "slk", "wiz", "xlm", "olb", "tlb", "oxt", "vsto", "accda", "bpl", "officeui", "rtq":
		return Addin
	case "iso", "img", "ima", "vhd", "vhdx", "avhd", "avhdx", "vmdk", "vdi", "dmg", "udf", "nrg", "mdf", "mds", "ccd", "cue", "toast", "isz", "daa", "uif", "qcow", "qcow2", "wim",
		"swm", "esd", "ffu", "sparseimage", "sparsebundle", "hdd", "hds", "vfd", "flp", "ova", "ovf", "squashfs", "dsk", "e01":
		return DiskImage
	case "docm", "dotm", "xlsm", "xltm", "pptm", "potm", "ppsm", "sldm", "vsdm", "vstm", "vssm", "xlsb", "mdm":
		return Macro
	case "svg", "svgz":
		return SVG
	case "html", "htm", "xhtml", "xht", "xhtm", "shtml", "shtm", "stm", "mht", "mhtml", "htmls", "htx", "htt", "phtm", "xsl", "dhtml", "webarchive", "hxt":
		return HTML
	case "one", "onetoc", "onetoc2", "onepkg", "onetmp":
		return OneNote
	case "zip", "zipx", "7z", "rar", "tar", "gz", "gzip", "tgz", "taz", "bz2", "bz", "bzip2", "tbz", "tbz2", "tb2", "xz", "txz", "lzma", "tlz", "lz", "lz4", "lzo", "zst", "tzst", "z", "br",
		"lzh", "lha", "arj", "ace", "arc", "ar", "a", "cab", "cpio", "uu", "uue", "xxe", "hqx", "b64", "mim", "bhx", "sit", "sitx", "war", "ear", "sar", "egg", "alz", "zoo", "pea", "paq",
		"kgb", "rev", "wot", "xar", "pak", "shar", "r00", "r01", "z01", "001", "epub", "kmz", "nupkg", "whl", "gem", "crate", "jmod", "aar", "3mf":
		return Archive
	case "mdb", "accdb", "accde", "accdr", "accdt", "accdc", "ade", "adp", "mde", "mda", "mdt", "mdw", "mdz", "mdn", "laccdb", "ldb", "dbf", "sqlite", "sqlite3", "db3", "fdb", "odb", "qbw", "qbb":
		return Database
	case "pdf", "fdf", "xfdf", "xdp", "pdx":
		return PDF
	case "doc", "docx", "dot", "dotx", "rtf", "odt", "ott", "odm", "fodt", "sxw", "wps", "wpd", "wp", "wri", "pages", "xls", "xlsx", "xlt", "xltx", "xlw", "xlc", "ods", "ots", "fods", "sxc", "numbers",
		"ppt", "pptx", "pps", "ppsx", "pot", "potx", "sldx", "odp", "otp", "fodp", "sxi", "odg", "otg", "fodg", "odf", "odc", "vsd", "vsdx", "vst", "vstx", "vss", "vssx", "vdx", "pub",
		"mpp", "mpt", "mpx", "xps", "oxps", "ps", "eps", "hwp", "hwpx", "thmx", "docb", "dwg", "dxf":
		return Office
	case "p7m", "p7s", "p7c", "p7b", "p7z", "asc", "pgp", "gpg", "sig", "cer", "crt", "der", "pem", "p12", "pfx", "csr", "crl", "kbx", "age":
		return Signature
	case "eml", "msg", "oft", "mbox", "mbx", "pst", "ost", "emlx", "tnef", "nws":
		return Mail
	case "ics", "ical", "icalendar", "ifb", "vcs", "vcf", "vcard":
		return Calendar
	case "ttf", "otf", "woff", "woff2", "ttc", "eot", "fon", "fnt", "pfb", "pfm":
		return Font
	case "mp4", "m4v", "mov", "qt", "avi", "mkv", "webm", "mpg", "mpeg", "mpe", "m2v", "wmv", "asf", "flv", "3gp", "3g2", "ogv", "vob", "mts", "m2ts", "rm", "rmvb", "divx":
		return Video
	case "mp3", "wav", "wave", "flac", "ogg", "oga", "opus", "m4a", "aac", "wma", "aif", "aiff", "aifc", "au", "snd", "mid", "midi", "amr", "ape", "mka", "ra", "m3u", "pls":
		return Audio
	case "png", "apng", "jpg", "jpeg", "jpe", "jfif", "gif", "bmp", "dib", "tif", "tiff", "webp", "heic", "heif", "avif", "ico", "cur", "ani", "psd", "jp2", "jpx", "jxl", "jxr", "wmf", "emf", "pcx", "tga",
		"pbm", "pgm", "ppm", "pnm", "xbm", "xpm", "xcf", "icns", "djvu", "dcm", "cr2", "nef", "arw", "dng":
		return Image
	case "txt", "text", "log", "csv", "tsv", "tab", "md", "markdown", "json", "xml", "yaml", "yml", "toml", "ini", "cfg", "conf", "diff", "patch", "tex", "bib", "rst", "nfo", "po", "srt", "vtt", "xsd", "dtd",
		"c", "h", "cc", "cpp", "hpp", "go", "rs", "java", "kt", "swift", "css", "gpx", "kml", "geojson", "edi":
		return Text
	}
	return None
}
