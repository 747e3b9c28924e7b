package main

import (
	"cmp"
	"slices"
	"strconv"
	"strings"

	"gatepost/internal/config"
)

// asked is an engine of gatepost.toml, by the check that asks it.
type asked struct {
	check   string
	there   []string // keys of gatepost.toml that name such engines
	instead string   // what to write there for one
}

// askedEngines are all kinds, with those that the documents name. Addresses that are a default name nobody.
func askedEngines(c *config.Config) []asked {
	b := c.Bootstrap
	written := func(key string, n int) []string {
		if n == 0 || c.BootstrapAt[key] == "" {
			return nil
		}
		return []string{key}
	}
	out := []asked{
		{check: "clamav", there: written("clamav.addresses", len(b.ClamAV.Addresses))},
		{check: "spamassassin", there: written("spamassassin.addresses", len(b.SpamAssassin.Addresses))},
		{check: "rspamd", there: written("rspamd.addresses", len(b.Rspamd.Addresses)), instead: `[rspamd] with addresses = ["127.0.0.1:11333"]`},
		{check: "icap", there: written("icap.addresses", len(b.ICAP.Addresses)), instead: `[icap] with addresses = ["127.0.0.1:1344"]`},
		{check: "milter", instead: `[[milter]] with name = "opendkim" and addresses = ["127.0.0.1:8891"]`},
		{check: "hook", instead: `[[hook]] with name = "crm" and url = "http://127.0.0.1:8080/gatepost"`},
	}
	for i := range b.Milters {
		out[4].there = append(out[4].there, "milter."+b.Milters[i].Name+".addresses")
	}
	for i := range b.Hooks {
		out[5].there = append(out[5].there, "hook."+b.Hooks[i].Name+".url")
	}
	return out
}

// engineWarnings tells of checks that are described and have no engine, and of engines that no check asks: each alone has no
// effect, and whoever wrote one meant both.
func engineWarnings(c *config.Config) (out config.Problems) {
	for _, e := range askedEngines(c) {
		off := c.Policy.Checks[e.check].Action == "off"
		if len(e.there) == 0 && e.instead != "" && !off {
			if key := firstBelow(c.Where, "checks."+e.check+"."); key != "" {
				out = append(out, config.Problem{File: c.PolicyPath, Line: lineNumber(c.Where[key]), Column: 1, Key: key, Warning: true,
					Message: "has no effect: gatepost.toml names no engine for it, and the check is left out",
					Instead: "write " + e.instead + " in gatepost.toml, or remove [checks." + e.check + "] here"})
			}
		}
		if !off {
			continue
		}
		for _, key := range e.there {
			out = append(out, config.Problem{File: c.BootstrapPath, Line: lineNumber(c.BootstrapAt[key]), Column: 1, Key: shownKey(key), Warning: true,
				Message: "is probed and never shown a message: the check " + e.check + " is off",
				Instead: "remove action = \"off\" from [checks." + e.check + "] in policy.toml (" + cmp.Or(c.Where["checks."+e.check+".action"], "its default") + "), or the engine here"})
		}
	}
	return out
}

// shownKey writes the name of a table of a list as other problems do: milter[opendkim].addresses.
func shownKey(key string) string {
	if words := strings.Split(key, "."); len(words) == 3 {
		return words[0] + "[" + words[1] + "]." + words[2]
	}
	return key
}

// firstBelow is the key below a prefix that stands first in its document; "" for none.
func firstBelow(w config.Where, prefix string) string {
	var keys []string
	for key := range w {
		if strings.HasPrefix(key, prefix) {
			keys = append(keys, key)
		}
	}
	if len(keys) == 0 {
		return ""
	}
	return slices.MinFunc(keys, func(a, b string) int {
		return cmp.Or(cmp.Compare(lineNumber(w[a]), lineNumber(w[b])), strings.Compare(a, b))
	})
}

// lineNumber is the line of a place such as "policy.toml:12"; 0 for none.
func lineNumber(place string) int {
	line, err := strconv.Atoi(place[strings.LastIndexByte(place, ':')+1:])
	if err != nil {
		return 0
	}
	return line
}
