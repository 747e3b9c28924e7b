package filetype

// File is what is known of a file.
type File struct {
	Type    string // the media type by content; "" where the content is not known
	Content Group  // its group
	Name    Name
	Group   Group // the worst of content and names
}

// Of tells what a file is by its names and its content, which may be its beginning only; nil where it is not known. Where two
// names are there, all count.
func Of(content []byte, names ...string) File {
	var f File
	if content != nil {
		f.Type = ByContent(content)
		f.Content = ByType(f.Type)
	}
	for _, name := range names {
		n := ReadName(name)
		for _, e := range n.Extensions {
			f.Name.act(e)
		}
		for _, t := range n.Tricks {
			f.Name.trick(t)
		}
		f.Name.Group = Worse(f.Name.Group, n.Group)
	}
	f.Group = Worse(f.Content, f.Name.Group)
	return f
}

// Worse is the worse of two groups.
func Worse(a, b Group) Group {
	if b.rank() > a.rank() {
		return b
	}
	return a
}

func (g Group) rank() int {
	for i := range order {
		if g == order[i] {
			return i + 1
		}
	}
	return 0
}

// Differs reports whether content is something else than a name or a claimed type of this group says: what a client opens
// by its name and another program by its content. Where either is not known they do not differ.
func Differs(content, said Group) bool {
	if content == None || said == None || content == said {
		return false
	}
	alike := func(a, b Group) bool { return content == a && said == b || content == b && said == a }
	switch {
	case alike(Archive, Office), alike(Archive, Macro), alike(Archive, Addin), alike(Office, Macro), alike(Office, Addin), alike(Office, Database), alike(Office, Mail), alike(Archive, Executable),
		alike(Office, PDF), alike(Office, Image), alike(Audio, Video), alike(Image, Video), alike(HTML, SVG), alike(Image, SVG), alike(Archive, DiskImage), alike(Office, HTML), alike(Office, OneNote):
		return false // one is packed as the other, or a program saves the one under the name of the other
	case content == Text:
		return said == Image || said == PDF || said == Archive || said == Audio || said == Video
	case said == Text:
		return content == Executable || content == Archive || content == PDF || content == DiskImage || content == Shortcut
	case said == Mail, said == Calendar, said == Signature, said == Script, said == Shortcut, content == Mail:
		return false // these are texts, and their group alone says what to do
	}
	return true
}
