package postfix

import "strings"

// Service is one line of master.cf (master(5)).
type Service struct {
	Name    string // "smtp", "10025", "192.0.2.1:smtp", "private/x"
	Type    string // inet, unix, fifo, unix-dgram, pass
	Command string // "smtpd", "postscreen", "smtp", "lmtp", "pipe"
	Args    []string
	Options []Param // of -o name=value
	At      Place
}

// Get returns a parameter as it is in force for the service.
func (c *Config) For(s *Service, name string) (Param, bool) { return c.get(name, s) }

// Service returns the service of that name and type, or nil.
func (c *Config) Service(name, typ string) *Service {
	for i := range c.Services {
		if s := &c.Services[i]; s.Name == name && s.Type == typ {
			return s
		}
	}
	return nil
}

func (c *Config) master(file string, data []byte) {
	for _, l := range lines(data) {
		words := words(l.text, " \t")
		at := Place{file, l.at}
		if len(words) < 8 {
			c.fault(at, l.text, "is no service: a line of master.cf has eight words")
			continue
		}
		s := Service{Name: words[0], Type: words[1], Command: words[7], At: at}
		for args := words[8:]; len(args) > 0; args = args[1:] {
			option, joined := strings.CutPrefix(args[0], "-o")
			if !joined {
				s.Args = append(s.Args, args[0])
				continue
			}
			if option == "" && len(args) > 1 {
				option, args = args[1], args[1:]
			}
			option = unbraced(option)
			name, value, ok := strings.Cut(option, "=")
			if !ok {
				c.fault(at, option, "is no -o name=value")
				continue
			}
			s.Options = append(s.Options, Param{strings.TrimSpace(name), strings.TrimSpace(value), at})
		}
		c.Services = append(c.Services, s)
	}
}

// words splits a text at separators that stand outside of braces.
func words(text, separators string) []string {
	var out []string
	level, start := 0, -1
	for i := range len(text) {
		c := text[i]
		if level == 0 && strings.IndexByte(separators, c) >= 0 {
			if start >= 0 {
				out = append(out, text[start:i])
			}
			start = -1
			continue
		}
		if start < 0 {
			start = i
		}
		switch {
		case c == '{':
			level++
		case c == '}' && level > 0:
			level--
		}
	}
	if start >= 0 {
		out = append(out, text[start:])
	}
	return out
}

// unbraced takes the braces off that enclose a text.
func unbraced(text string) string {
	if strings.HasPrefix(text, "{") {
		if inner, rest, ok := balanced(text); ok && strings.TrimSpace(rest) == "" {
			return strings.TrimSpace(inner)
		}
	}
	return text
}
