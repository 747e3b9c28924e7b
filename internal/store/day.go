package store

import (
	"cmp"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
)

// A day is a UTC day as it stands in a file's name: "2026-11-23". Days compare as texts.
type day string

const (
	dayLayout  = "2006-01-02"
	filePrefix = "log-"
	fileSuffix = ".db"
	damaged    = ".damaged"
)

// dayOf returns the UTC day of a moment.
func dayOf(t time.Time) day { return day(t.UTC().Format(dayLayout)) }

// start returns the first moment of the day.
func (d day) start() time.Time {
	t, _ := time.Parse(dayLayout, string(d)) // d comes from dayOf or parseDay
	return t
}

// end returns the first moment of the next day.
func (d day) end() time.Time { return d.start().AddDate(0, 0, 1) }

func (d day) add(days int) day { return dayOf(d.start().AddDate(0, 0, days)) }

func (d day) path(dir string) string { return filepath.Join(dir, filePrefix+string(d)+fileSuffix) }

// parseDay returns the day that a file name speaks of, and whether the file was set aside; "" for other names.
func parseDay(name string) (d day, aside bool) {
	rest, ok := strings.CutPrefix(name, filePrefix)
	if !ok || len(rest) < len(dayLayout) {
		return "", false
	}
	text, tail := rest[:len(dayLayout)], rest[len(dayLayout):]
	if _, err := time.Parse(dayLayout, text); err != nil || !strings.HasPrefix(tail, fileSuffix) {
		return "", false
	}
	switch tail = tail[len(fileSuffix):]; {
	case tail == "":
		return day(text), false
	case strings.HasPrefix(tail, damaged), strings.HasPrefix(tail, newerMark):
		return day(text), true
	}
	return "", false
}

// file is one day's file, or one that was set aside.
type file struct {
	day   day
	path  string
	aside bool
	bytes int64 // with its write-ahead log
}

// list returns the files of the folder, oldest first. A folder that does not exist has none.
func list(dir string) ([]file, error) {
	entries, err := os.ReadDir(dir)
	if os.IsNotExist(err) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var out []file
	for _, e := range entries {
		d, aside := parseDay(e.Name())
		if d == "" || !e.Type().IsRegular() {
			continue
		}
		f := file{day: d, path: filepath.Join(dir, e.Name()), aside: aside}
		for _, part := range parts(f.path) {
			f.bytes += size(part)
		}
		out = append(out, f)
	}
	slices.SortFunc(out, func(a, b file) int {
		return cmp.Or(cmp.Compare(a.day, b.day), cmp.Compare(a.path, b.path))
	})
	return out, nil
}

// parts are the files that SQLite may keep for one database.
func parts(path string) [3]string { return [3]string{path, path + "-wal", path + "-shm"} }

func size(path string) int64 {
	if info, err := os.Stat(path); err == nil {
		return info.Size()
	}
	return 0
}

// remove unlinks a database and what belongs to it. The write-ahead log goes last: without its database it says nothing,
// while a database without its log would look whole and lack the newest rows.
func remove(path string) error {
	var first error
	for _, p := range parts(path) {
		if err := os.Remove(p); err != nil && !os.IsNotExist(err) && first == nil {
			first = err
		}
	}
	return first
}

// setAside renames a damaged database out of the way and returns its new name.
func setAside(path string) (string, error) {
	to := path + damaged
	for i := 1; ; i++ {
		if _, err := os.Lstat(to); os.IsNotExist(err) {
			break
		}
		to = path + damaged + "." + strconv.Itoa(i)
	}
	if err := os.Rename(path, to); err != nil && !os.IsNotExist(err) {
		return "", err
	}
	for _, suffix := range [...]string{"-wal", "-shm"} {
		if err := os.Rename(path+suffix, to+suffix); err != nil && !os.IsNotExist(err) {
			return to, err
		}
	}
	return to, nil
}
