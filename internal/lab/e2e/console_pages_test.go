package e2e

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"
)

var oneUser = regexp.MustCompile(`^(/users/)[^/]+`)

var linkIn = regexp.MustCompile(`<a [^>]*href="(/[^"#]*)`)

// links are the paths that a page leads to, without their queries.
func links(page string) (all []string) {
	for _, m := range linkIn.FindAllStringSubmatch(page, -1) {
		path, _, _ := strings.Cut(m[1], "?")
		if !strings.HasPrefix(path, "/api/") && !slices.Contains(all, path) {
			all = append(all, path)
		}
	}
	return all
}

// maxPages bounds the walk from page to page.
const maxPages = 200

// pages are all that links lead to from the start page.
func (b *browserOf) pages(t *testing.T) []string {
	t.Helper()
	all := []string{"/"}
	for i := 0; i < len(all) && i < maxPages; i++ {
		a := b.ask("GET", all[i], nil)
		if a.code != 200 {
			t.Errorf("page %s: %d %.200s", all[i], a.code, a.body)
		}
		for _, to := range links(a.body) {
			if !slices.Contains(all, to) {
				all = append(all, to)
			}
		}
	}
	if len(all) < 2 {
		t.Fatal("no links: " + fmt.Sprint(all))
	}
	return all
}

// kindOf is what a message's page tells that pages of others tell as well: what became of it, where, and of whose domain it is.
func (m *matrix) kindOf(t *testing.T, path string) string {
	t.Helper()
	_, body, _ := strings.Cut(m.owner.ask("GET", path, nil).body, `<aside`) // behind the table of all messages
	kind := ""
	if found := badgeIn.FindStringSubmatch(body); found != nil {
		kind = found[1] + found[2]
	}
	for _, domain := range []string{"@served.test", "@other.test"} {
		if strings.Contains(body, domain) {
			kind += domain
		}
	}
	return kind
}

// badgeIn is what became of a message, and at which stage, in its page.
var badgeIn = regexp.MustCompile(`(?s)<div class="dh">.*?<span class="badge ([a-z]+)">.*?<span class="stage">([^,<]*),`)
