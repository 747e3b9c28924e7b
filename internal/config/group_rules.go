package config

import (
	"slices"
	"strconv"
	"strings"

	"gatepost/gateway"
)

// named checks that groups, banners and rules name each other and checks that are there.
func (p *Policy) named(sections Sections, report func(key, message, instead string)) {
	groups := p.groupNames(report)
	banners := map[string]bool{}
	for i, b := range p.Banners {
		if banners[b.Name] && b.Name != "" {
			report("banner["+strconv.Itoa(i)+"].name", shown(b.Name)+" is the name of two banners", "give each a name of its own")
		}
		banners[b.Name] = true
	}
	if len(p.Rules) > maxRules {
		report("rule", "there are "+strconv.Itoa(len(p.Rules))+" rules, which every message would be compared with", "write at most "+strconv.Itoa(maxRules)+", with groups and patterns")
		return
	}
	names := map[string]bool{}
	for i := range p.Rules {
		r, at := &p.Rules[i], "rule["+strconv.Itoa(i)+"]."
		if r.Name != "" && names[r.Name] {
			report(at+"name", shown(r.Name)+" is the name of two rules", "give each a name of its own: it is what the trace shows")
		}
		names[r.Name] = true
		for k, to := range r.To {
			if !strings.ContainsAny(to, "@.") && !slices.Contains(groups, to) {
				report(at+"to["+strconv.Itoa(k)+"]", "there is no group "+shown(to), groupAdvice(to, groups))
			}
		}
		if len(r.Check) == 0 && r.Action == "accept" && r.Banner == "" && r.Subject == "" && !slices.ContainsFunc(p.Rules[i+1:], aboutMessages) {
			report(at+"action", `"accept" of a message as such changes nothing, since such a rule only adds`, `write check, for example check = ["attachments.*"], or banner or subject; or put it above the rules about messages that it is an exception of`)
		}
		if r.Banner != "" && !banners[r.Banner] {
			report(at+"banner", "there is no banner "+shown(r.Banner), "write a [[banner]] of that name")
		}
		below := func(key, message, instead string) { report(at+key, message, instead) }
		r.checks(sections, below)
	}
}

// aboutMessages reports whether a rule is about the message as such.
func aboutMessages(r Rule) bool { return len(r.Check) == 0 }

func (p *Policy) groupNames(report func(key, message, instead string)) (names []string) {
	for i := range p.Groups {
		g, at := &p.Groups[i], "group["+strconv.Itoa(i)+"]"
		if g.Name != "" && slices.Contains(names, g.Name) {
			report(at+".name", shown(g.Name)+" is the name of two groups", "give each a name of its own")
		}
		names = append(names, g.Name)
		if g.Thresholds != nil {
			base := p.Thresholds
			if g.Level != "" {
				base = LevelThresholds(g.Level)
			}
			t := g.Thresholds.over(base)
			t.ascending(at+".thresholds.", report)
		}
	}
	return names
}

func groupAdvice(name string, groups []string) string {
	if near := nearest(name, groups); near != "" {
		return "did you mean " + near + "?"
	}
	if len(groups) > 0 && len(groups) <= 12 {
		return "the groups are " + strings.Join(groups, ", ")
	}
	return "write a [[group]] of that name, or a whole domain or address"
}

// Matching lists the checks that a rule names.
func (r *Rule) Matching(sections Sections) (names []string) {
	for _, name := range sections.names() {
		if slices.ContainsFunc(r.Check, func(c string) bool { return covers(c, name) }) {
			names = append(names, name)
		}
	}
	return names
}

func covers(pattern, name string) bool {
	prefix, open := strings.CutSuffix(pattern, "*")
	return name == pattern || open && strings.HasPrefix(name, prefix)
}

// checks checks what a rule says of checks.
func (r *Rule) checks(sections Sections, report func(key, message, instead string)) {
	all := sections.names()
	for k, pattern := range r.Check {
		key := "check[" + strconv.Itoa(k) + "]"
		if !slices.ContainsFunc(all, func(name string) bool { return covers(pattern, name) }) {
			instead := "gatepost explain checks lists them"
			if near := nearest(pattern, all); near != "" {
				instead = "did you mean " + near + "?"
			}
			report(key, "there is no check "+shown(pattern), instead)
			continue
		}
		s, single := sections[pattern]
		switch action := Action(r.Action); {
		case !single:
		case s.Firm && r.Milder():
			report("action", shown(string(r.Action))+" would be milder, and what "+pattern+" finds is never made milder", "remove "+pattern+" from check, or write a harder action")
		case s.Least != "" && severity(action) < severity(s.Least):
			report("action", shown(string(r.Action))+" is too mild for "+pattern, "write "+string(s.Least)+" or harder")
		case action == Strip && !s.Parts:
			report("action", "what "+pattern+" finds are no parts of a message that could be taken out", "write another action")
		}
	}
	known := gateway.Reasons()
	for k, reason := range r.Reasons {
		if slices.Contains(known, gateway.Reason(reason)) {
			continue
		}
		words := make([]string, len(known))
		for i := range known {
			words[i] = string(known[i])
		}
		slices.Sort(words)
		instead := "gatepost trace shows the reason of a message"
		if near := nearest(reason, words); near != "" {
			instead = "did you mean " + near + "?"
		}
		report("reasons["+strconv.Itoa(k)+"]", "there is no reason "+shown(reason), instead)
	}
}

// severity orders actions from mild to hard.
func severity(a Action) int {
	return slices.Index([]Action{Off, Observe, Pass, "accept", Score, Tag, Strip, Quarantine, Defer, Reject, Drop}, a)
}
