package main

import (
	"fmt"
	"io"
	"strings"
	"unicode/utf8"
)

// table prints rows whose cells are wrapped to the widths of their columns.
type table struct {
	out    io.Writer
	widths []int
}

// row prints one row; missing cells are empty.
func (t table) row(cells ...string) {
	columns := make([][]string, len(t.widths))
	height := 1
	for i, width := range t.widths {
		if i < len(cells) {
			columns[i] = wrap(cells[i], width)
			height = max(height, len(columns[i]))
		}
	}
	for y := range height {
		var line strings.Builder
		for i, width := range t.widths {
			cell := ""
			if y < len(columns[i]) {
				cell = columns[i][y]
			}
			line.WriteString(cell + strings.Repeat(" ", max(0, width-utf8.RuneCountInString(cell))) + "  ")
		}
		fmt.Fprintln(t.out, strings.TrimRight(line.String(), " "))
	}
}

// rule prints a line under the head.
func (t table) rule() {
	cells := make([]string, len(t.widths))
	for i, width := range t.widths {
		cells[i] = strings.Repeat("-", width)
	}
	t.row(cells...)
}

// wrap breaks text at blanks; a longer word is cut.
func wrap(text string, width int) []string {
	var lines []string
	line := ""
	for _, word := range strings.Fields(text) {
		for utf8.RuneCountInString(word) > width {
			if line != "" {
				lines, line = append(lines, line), ""
			}
			r := []rune(word)
			lines, word = append(lines, string(r[:width])), string(r[width:])
		}
		switch {
		case line == "":
			line = word
		case utf8.RuneCountInString(line)+1+utf8.RuneCountInString(word) <= width:
			line += " " + word
		default:
			lines, line = append(lines, line), word
		}
	}
	return append(lines, line)
}
