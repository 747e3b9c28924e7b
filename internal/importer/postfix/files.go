package postfix

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"
)

// home is where Postfix has its configuration unless told otherwise; paths in main.cf are written with it.
const home = "/etc/postfix"

// Files reads the files of one configuration: those below the configuration folder, and, where a root is given, all that
// lie below it. It is not safe for concurrent use.
type Files struct {
	config *os.Root
	dir    string // the configuration folder, absolute
	root   *os.Root
	read   int64
}

// Open opens the folder with main.cf. What main.cf names below /etc/postfix is looked for there, wherever it is; every other
// path below root, or nowhere if that is "". Links that lead out are not followed. Error: a folder cannot be opened.
func Open(dir, root string) (*Files, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return nil, err
	}
	f := &Files{dir: dir}
	if f.config, err = os.OpenRoot(dir); err != nil {
		return nil, fmt.Errorf("open configuration: %w", err)
	}
	if root == "" {
		return f, nil
	}
	if f.root, err = os.OpenRoot(root); err != nil {
		f.config.Close()
		return nil, fmt.Errorf("open root: %w", err)
	}
	return f, nil
}

// Close closes the folders.
func (f *Files) Close() {
	f.config.Close()
	if f.root != nil {
		f.root.Close()
	}
}

// shown is the name of a path as a place has it, with the folder that it is read from.
func (f *Files) shown(path string) (name string, in *os.Root) {
	path = filepath.Clean(path)
	if !filepath.IsAbs(path) {
		return path, f.config
	}
	for _, base := range []string{home, f.dir} {
		if rest, ok := strings.CutPrefix(path, base+"/"); ok {
			return rest, f.config
		}
	}
	return path, f.root
}

// Read returns the text of a file and its name as places have it. Errors: those of this package and of the system.
func (f *Files) Read(path string) (name string, data []byte, err error) {
	name, in := f.shown(path)
	if in == nil {
		return name, nil, ErrOutside
	}
	// A pipe must not hold us up, and a device must do nothing.
	file, err := in.OpenFile(strings.TrimPrefix(name, "/"), os.O_RDONLY|syscall.O_NONBLOCK|syscall.O_NOCTTY, 0)
	if err != nil {
		return name, nil, err
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return name, nil, err
	}
	if !info.Mode().IsRegular() {
		return name, nil, ErrNoFile
	}
	data, err = io.ReadAll(io.LimitReader(file, MaxFile+1))
	f.read += int64(len(data))
	switch {
	case err != nil:
		return name, nil, err
	case len(data) > MaxFile:
		return name, nil, ErrTooLarge
	case f.read > maxAll:
		return name, nil, ErrTooMuch
	}
	return name, data, nil
}

// line is one logical line: what continues it is joined to it.
type line struct {
	text string
	at   int
}

// lines splits a text into logical lines, as Postfix does (postconf(5)): a line that begins with white space continues the
// one before, and empty lines and comments are as if they were not there, also within one.
func lines(data []byte) []line {
	var out []line
	n := 0
	for text := range strings.Lines(string(data)) {
		n++
		text = strings.TrimRight(text, "\r\n")
		bare := strings.TrimLeft(text, " \t\f\v")
		if bare == "" || bare[0] == '#' {
			continue
		}
		if len(bare) < len(text) && len(out) > 0 {
			out[len(out)-1].text += text
			continue
		}
		out = append(out, line{strings.TrimRight(text, " \t"), n})
	}
	for i := range out {
		out[i].text = strings.TrimSpace(out[i].text)
	}
	return out
}

// cut keeps what is shown of a stranger's text short and in one line.
func cut(text string) string {
	text = strings.ToValidUTF8(strings.Join(strings.Fields(text), " "), "?")
	if len(text) > 200 {
		text = strings.ToValidUTF8(text[:197], "") + "..."
	}
	return text
}
