package versions

import (
	"bytes"
	"fmt"
	"strings"
)

// Line is one line of a diff.
type Line struct {
	Op   string `json:"op"`             // " ", "-" or "+"
	Old  int    `json:"old,omitempty"`  // its number before; 0 for none
	New  int    `json:"new,omitempty"`  // its number after; 0 for none
	Text string `json:"text,omitempty"` // without its end
}

// Hunk is a part of two documents that differs, with some lines around.
type Hunk struct {
	Lines []Line `json:"lines"`
}

// around is how many lines that are the same stand around those that differ.
const around = 3

// maxEdits bounds the search for the shortest way from one document to the other. Beyond it the part that differs is shown as
// removed and added whole.
const maxEdits = 1000

// Diff is what differs between two documents, line by line, by the shortest way (Myers, "An O(ND) Difference Algorithm",
// 1986). Ends of lines count as they are, but for CR before LF.
func Diff(before, after []byte) []Hunk {
	a, b := split(before), split(after)
	head := 0
	for head < len(a) && head < len(b) && a[head] == b[head] {
		head++
	}
	tail := 0
	for tail < len(a)-head && tail < len(b)-head && a[len(a)-1-tail] == b[len(b)-1-tail] {
		tail++
	}
	ops := strings.Repeat(" ", head) + edits(a[head:len(a)-tail], b[head:len(b)-tail]) + strings.Repeat(" ", tail)
	return hunks(a, b, ops)
}

// split cuts a document into its lines.
func split(text []byte) []string {
	if len(text) == 0 {
		return nil
	}
	lines := strings.Split(string(bytes.TrimSuffix(text, []byte("\n"))), "\n")
	for i, l := range lines {
		lines[i] = strings.TrimSuffix(l, "\r")
	}
	return lines
}

// edits is the shortest way from a to b: a letter for each line that stays, goes or comes.
func edits(a, b []string) string {
	if len(a) == 0 || len(b) == 0 {
		return strings.Repeat("-", len(a)) + strings.Repeat("+", len(b))
	}
	most := min(len(a)+len(b), maxEdits)
	var trace [][]int // of each number of edits, how far each diagonal got; trace[d][k+d]
	for d := 0; d <= most; d++ {
		row := make([]int, 2*d+1)
		for k := -d; k <= d; k += 2 {
			x := 0
			if d > 0 {
				x = step(trace[d-1], d, k)
			}
			y := x - k
			for x < len(a) && y < len(b) && a[x] == b[y] {
				x, y = x+1, y+1
			}
			row[k+d] = x
			if x >= len(a) && y >= len(b) {
				return walkBack(append(trace, row), len(a), len(b))
			}
		}
		trace = append(trace, row)
	}
	return strings.Repeat("-", len(a)) + strings.Repeat("+", len(b))
}

// step is where the furthest way with d edits enters a diagonal: from the diagonal above by a line that comes, or from the
// one below by a line that goes.
func step(before []int, d, k int) int {
	down, right := -1, -1
	if k < d-1 || k == -d {
		if i := k + 1 + d - 1; i >= 0 && i < len(before) {
			down = before[i]
		}
	}
	if i := k - 1 + d - 1; i >= 0 && i < len(before) {
		right = before[i] + 1
	}
	return max(down, right)
}

// walkBack finds the way again, from its end.
func walkBack(trace [][]int, x, y int) string {
	var out []byte
	for d := len(trace) - 1; d > 0; d-- {
		k := x - y
		enter := step(trace[d-1], d, k)
		for ; x > enter; x, y = x-1, y-1 {
			out = append(out, ' ')
		}
		if i := k + d; i >= 0 && i < len(trace[d-1]) && trace[d-1][i] == x {
			out, y = append(out, '+'), y-1
		} else {
			out, x = append(out, '-'), x-1
		}
	}
	for ; x > 0; x-- {
		out = append(out, ' ')
	}
	for i, j := 0, len(out)-1; i < j; i, j = i+1, j-1 {
		out[i], out[j] = out[j], out[i]
	}
	return string(out)
}

// hunks puts lines together with what is around them.
func hunks(a, b []string, ops string) (out []Hunk) {
	last := -1 // the last line that is to be shown
	i, j := 0, 0
	var lines []Line
	for n := range len(ops) {
		l := Line{Op: ops[n : n+1]}
		if ops[n] != '+' {
			l.Old, l.Text, i = i+1, a[i], i+1
		}
		if ops[n] != '-' {
			l.New, l.Text, j = j+1, b[j], j+1
		}
		if ops[n] != ' ' {
			last = n + around
		} else if n > last && !strings.ContainsAny(ops[n:min(n+around+1, len(ops))], "+-") {
			if lines != nil {
				out, lines = append(out, Hunk{lines}), nil
			}
			continue
		}
		lines = append(lines, l)
	}
	if lines != nil {
		out = append(out, Hunk{lines})
	}
	return out
}

// Unified writes hunks as diff -u does.
func Unified(before, after string, hunks []Hunk) string {
	if len(hunks) == 0 {
		return ""
	}
	var b strings.Builder
	fmt.Fprintf(&b, "--- %s\n+++ %s\n", before, after)
	for _, h := range hunks {
		oldAt, olds, newAt, news := 0, 0, 0, 0
		for _, l := range h.Lines {
			if l.Old > 0 {
				if olds == 0 {
					oldAt = l.Old
				}
				olds++
			}
			if l.New > 0 {
				if news == 0 {
					newAt = l.New
				}
				news++
			}
		}
		fmt.Fprintf(&b, "@@ -%d,%d +%d,%d @@\n", oldAt, olds, newAt, news)
		for _, l := range h.Lines {
			b.WriteString(l.Op + l.Text + "\n")
		}
	}
	return b.String()
}
