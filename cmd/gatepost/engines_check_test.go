package main

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"gatepost/internal/cli"
)

// TestEngineWarnings shows what check says of a check without an engine and of an engine without a check, with the place.
func TestEngineWarnings(t *testing.T) {
	const (
		engines = "[clamav]\naddresses = [\"127.0.0.1:3310\"]\n[spamassassin]\naddresses = [\"127.0.0.1:783\"]\n[rspamd]\naddresses = [\"127.0.0.1:11333\"]\n[icap]\naddresses = [\"127.0.0.1:1344\"]\n" +
			"[[milter]]\nname = \"a\"\naddresses = [\"127.0.0.1:8891\"]\n[[milter]]\nname = \"b\"\naddresses = [\"127.0.0.1:8892\"]\n[[hook]]\nname = \"crm\"\nurl = \"http://127.0.0.1:8080/\"\n"
		checks = "[checks.rspamd]\nscale = 1.0\nunknown = \"defer\"\n[checks.icap]\naction = \"quarantine\"\n[checks.milter]\nunknown = \"tag\"\n[checks.hook]\nhints = true\n[checks.hook.prices]\nscore = 2.0\n"
		off    = "[checks.clamav]\naction = \"off\"\n[checks.spamassassin]\naction = \"off\"\n[checks.rspamd]\naction = \"off\"\n[checks.icap]\naction = \"off\"\n[checks.milter]\naction = \"off\"\n[checks.hook]\naction = \"off\"\n"
	)
	none := func(key string, line int, write, table string) string {
		return fmt.Sprintf("policy.toml:%d:1: warning: %s: has no effect: gatepost.toml names no engine for it, and the check is left out; write %s in gatepost.toml, or remove [checks.%s] here", line, key, write, table)
	}
	idle := func(key string, line int, check string, at int) string {
		return fmt.Sprintf("gatepost.toml:%d:1: warning: %s: is probed and never shown a message: the check %s is off; remove action = \"off\" from [checks.%s] in policy.toml (policy.toml:%d), or the engine here", line, key, check, check, at)
	}
	after := strings.Count(servesOne, "\n")
	for name, c := range map[string]struct {
		bootstrap, policy string
		want              []string
	}{
		"neither":         {"", "", nil},
		"both":            {engines, checks, nil},
		"observed":        {engines, "[checks.rspamd]\naction = \"observe\"\n", nil},
		"off, and absent": {"[clamav]\naddresses = []\n[spamassassin]\naddresses = []\n", off, nil},
		"off, by default": {"", off, nil},
		"engines only":    {engines, "", nil},
		"checks only": {"", checks, []string{
			none("checks.rspamd.scale", after+2, `[rspamd] with addresses = ["127.0.0.1:11333"]`, "rspamd"),
			none("checks.icap.action", after+5, `[icap] with addresses = ["127.0.0.1:1344"]`, "icap"),
			none("checks.milter.unknown", after+7, `[[milter]] with name = "opendkim" and addresses = ["127.0.0.1:8891"]`, "milter"),
			none("checks.hook.hints", after+9, `[[hook]] with name = "crm" and url = "http://127.0.0.1:8080/gatepost"`, "hook"),
		}},
		"engines, all off": {engines, off, []string{
			idle("clamav.addresses", 4, "clamav", after+2), idle("spamassassin.addresses", 6, "spamassassin", after+4),
			idle("rspamd.addresses", 8, "rspamd", after+6), idle("icap.addresses", 10, "icap", after+8),
			idle("milter[a].addresses", 13, "milter", after+10), idle("milter[b].addresses", 16, "milter", after+10), idle("hook[crm].url", 19, "hook", after+12),
		}},
	} {
		dir := documents(t, c.bootstrap, servesOne+c.policy)
		code, _, errOut := gatepost(t, "check", "--config", dir)
		var got []string
		for line := range strings.Lines(errOut) {
			if strings.Contains(line, ": warning: ") {
				got = append(got, strings.TrimPrefix(strings.TrimSpace(line), dir+string(filepath.Separator)))
			}
		}
		if code != cli.Done || !slices.Equal(got, c.want) {
			t.Errorf("%s: exit %d\n%s\nwant\n%s\nin %s", name, code, strings.Join(got, "\n"), strings.Join(c.want, "\n"), errOut)
		}
	}
}
