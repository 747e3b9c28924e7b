package handover

import (
	"fmt"
	"maps"
	"net/netip"
	"strings"
	"text/template/parse"
)

// filling fills in a kit. Kits are templates of text/template, of which this knows what they use: that package calls methods
// by their names, so that with it the linker keeps every method of every package, and the program is a quarter larger.
type filling struct {
	out  strings.Builder
	all  map[string]*parse.Tree
	vars map[string]any
}

// funcs are what a kit can call.
type funcs map[string]func(args []any) any

// fill returns a template, filled in with what its fields are; common has what it may name.
func fill(text, common string, fields map[string]any, known funcs) (filled string, err error) {
	names := make(map[string]any, len(known))
	for n, f := range known {
		names[n] = f
	}
	f := &filling{vars: map[string]any{}}
	if f.all, err = parse.Parse("common", common, "", "", names); err != nil {
		return "", err
	}
	kit, err := parse.Parse("kit", text, "", "", names)
	if err != nil {
		return "", err
	}
	maps.Copy(f.all, kit)
	defer func() {
		if p := recover(); p != nil {
			wrong, ok := p.(fault)
			if !ok {
				panic(p)
			}
			err = wrong
		}
	}()
	f.walk(f.all["kit"].Root, fields, known)
	return f.out.String(), nil
}

// fault is what is wrong with a template.
type fault struct{ error }

func wrong(n parse.Node) fault { return fault{fmt.Errorf("%q cannot be filled in", n.String())} }

// walk writes a part of a template; dot is what "." stands for in it.
func (f *filling) walk(n parse.Node, dot any, known funcs) {
	switch n := n.(type) {
	case *parse.ListNode:
		if n != nil {
			for _, part := range n.Nodes {
				f.walk(part, dot, known)
			}
		}
	case *parse.TextNode:
		f.out.Write(n.Text)
	case *parse.ActionNode:
		if v := f.pipe(n.Pipe, dot, known); len(n.Pipe.Decl) == 0 {
			fmt.Fprint(&f.out, v)
		}
	case *parse.IfNode:
		if truth(f.pipe(n.Pipe, dot, known)) {
			f.walk(n.List, dot, known)
		} else {
			f.walk(n.ElseList, dot, known)
		}
	case *parse.RangeNode:
		if n.ElseList != nil {
			panic(wrong(n))
		}
		for _, v := range items(f.pipe(n.Pipe, dot, known)) {
			f.walk(n.List, v, known)
		}
	case *parse.TemplateNode:
		t := f.all[n.Name]
		if t == nil || n.Pipe == nil {
			panic(wrong(n))
		}
		f.walk(t.Root, f.pipe(n.Pipe, dot, known), known)
	default:
		panic(wrong(n))
	}
}

// pipe works out one command, and keeps it where a variable is to have it.
func (f *filling) pipe(p *parse.PipeNode, dot any, known funcs) (v any) {
	if len(p.Cmds) != 1 {
		panic(wrong(p))
	}
	args := p.Cmds[0].Args
	if id, is := args[0].(*parse.IdentifierNode); is {
		var values []any
		for _, a := range args[1:] {
			values = append(values, f.value(a, dot, known))
		}
		v = known[id.Ident](values)
	} else if v = f.value(args[0], dot, known); len(args) > 1 {
		panic(wrong(p))
	}
	for _, d := range p.Decl {
		f.vars[d.Ident[0]] = v
	}
	return v
}

// value is what one word stands for.
func (f *filling) value(n parse.Node, dot any, known funcs) any {
	switch n := n.(type) {
	case *parse.DotNode:
		return dot
	case *parse.FieldNode:
		fields, _ := dot.(map[string]any)
		if v, ok := fields[n.Ident[0]]; ok && len(n.Ident) == 1 {
			return v
		}
	case *parse.VariableNode:
		if v, ok := f.vars[n.Ident[0]]; ok && len(n.Ident) == 1 {
			return v
		}
	case *parse.StringNode:
		return n.Text
	case *parse.NumberNode:
		return int(n.Int64)
	case *parse.PipeNode:
		return f.pipe(n, dot, known)
	}
	panic(wrong(n))
}

func truth(v any) bool { return v != "" && v != false }

// items are the members of a list.
func items(v any) (out []any) {
	switch l := v.(type) {
	case []string:
		for _, s := range l {
			out = append(out, s)
		}
	case []netip.Addr:
		for _, a := range l {
			out = append(out, a)
		}
	}
	return out
}

// words are the texts of a list of addresses or names.
func words(list any) (out []string) {
	for _, v := range items(list) {
		out = append(out, fmt.Sprint(v))
	}
	return out
}

// functions are what the kits call.
func functions() funcs {
	joined := func(before, between, after string) func(args []any) any {
		return func(args []any) any { return before + strings.Join(words(args[0]), between) + after }
	}
	return funcs{
		"commas":     joined("", ",", ""),
		"spaces":     joined("", " ", ""),
		"semicolons": joined("", " ; ", ""),
		"quoted":     joined(`"`, `","`, `"`),
		"dashed":     func(args []any) any { return strings.ReplaceAll(fmt.Sprint(args[0]), ".", "-") },
		"accessform": func(args []any) any { return accessForm(args[0]) },
		"print":      func(args []any) any { return fmt.Sprint(args...) },
		"eq":         func(args []any) any { return args[0] == args[1] },
		"ne":         func(args []any) any { return args[0] != args[1] },
		"index":      func(args []any) any { return items(args[0])[args[1].(int)] },
	}
}

// accessForm is an address as Sendmail's access map wants it.
func accessForm(v any) string {
	if a, ok := v.(netip.Addr); ok && !a.Is4() {
		return "IPv6:" + a.String()
	}
	return fmt.Sprint(v)
}
