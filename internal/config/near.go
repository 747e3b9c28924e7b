package config

import "strings"

// nearest finds the candidate that a typing mistake most likely meant; empty if none is near.
func nearest(word string, candidates []string) string {
	const longest = 64 // no key is longer; a hostile one must not cost time
	if len(word) > longest {
		return ""
	}
	word = strings.ToLower(word)
	best, at := "", 1+max(1, len(word)/3)
	for _, c := range candidates {
		if d := distance(word, strings.ToLower(c)); d < at && d < len(c) {
			best, at = c, d
		}
	}
	return best
}

// resembling finds a candidate that has the word in it, or is in it: "size" for "message_size".
func resembling(word string, candidates []string) string {
	const shortest, longest = 4, 64
	for _, c := range candidates {
		if len(word) >= shortest && len(word) <= longest && (strings.Contains(c, word) || len(c) >= shortest && strings.Contains(word, c)) {
			return c
		}
	}
	return ""
}

// distance counts the inserted, deleted, changed and swapped octets between two words (optimal string alignment).
func distance(a, b string) int {
	before, prev, row := make([]int, len(b)+1), make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range prev {
		prev[j] = j
	}
	for i := 1; i <= len(a); i++ {
		row[0] = i
		for j := 1; j <= len(b); j++ {
			change := prev[j-1]
			if a[i-1] != b[j-1] {
				change++
			}
			row[j] = min(change, prev[j]+1, row[j-1]+1)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				row[j] = min(row[j], before[j-2]+1)
			}
		}
		before, prev, row = prev, row, before
	}
	return prev[len(b)]
}
