package rules

import (
	"fmt"
	"strings"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/ext"

	"gatepost/gateway"
)

// The bounds of a condition. A condition of the length that fits can be evaluated for 100 recipients within milliseconds.
const (
	MaxLength = 2000   // octets
	maxCost   = 20_000 // units of CEL, some 10 ns each: what a condition may cost for one recipient
	maxNodes  = 500
	maxNested = 2 // comprehensions inside each other
	maxRegexp = 200
)

// Error is what is wrong in a condition, with its place in the text.
type Error struct {
	Line, Column int // from 1, the column in characters
	Message      string
}

// Error says it for people.
func (e *Error) Error() string { return e.Message }

// Known are the names that a condition may mention.
type Known struct {
	Checks []string // names of checks
	Score  bool     // the rule is about the message as such, so that its score is known
}

// Compiler compiles conditions.
type Compiler struct {
	env   *cel.Env
	facts map[string]Fact
}

// NewCompiler makes a compiler. Making one costs some milliseconds, compiling some tenths of one.
func NewCompiler(known Known) (*Compiler, error) {
	c := &Compiler{facts: map[string]Fact{}}
	options := []cel.EnvOption{
		ext.Strings(), ext.Network(), cel.DefaultUTCTimeZone(true), cel.CrossTypeNumericComparisons(true),
		cel.ParserExpressionSizeLimit(MaxLength), cel.ParserRecursionLimit(50), cel.ExpressionNodeLimit(maxNodes), cel.RegexProgramSizeLimit(maxRegexp),
		cel.Variable(checksName, checksType),
		cel.ASTValidators(literals{known.Checks}, cel.ValidateDurationLiterals(), cel.ValidateTimestampLiterals(), cel.ValidateRegexLiterals(),
			cel.ValidateRegexProgramSizeLimit(maxRegexp), cel.ValidateHomogeneousAggregateLiterals(), cel.ValidateComprehensionNestingLimit(maxNested)),
	}
	for _, f := range Facts() {
		if f.Name == "score" && !known.Score {
			continue
		}
		c.facts[f.Name] = f
		options = append(options, cel.Variable(f.Name, f.kind))
	}
	for _, fn := range Functions() {
		options = append(options, fn.declared())
	}
	env, err := cel.NewEnv(options...)
	if err != nil {
		return nil, fmt.Errorf("rules: %w", err)
	}
	c.env = env
	return c, nil
}

// Compile compiles a condition. All that is wrong is an *Error, at most five of them.
func (c *Compiler) Compile(text string) (gateway.Condition, []*Error) {
	if len(text) > MaxLength {
		return nil, []*Error{{1, 1, fmt.Sprintf("has %d octets; at most %d can be compiled: write several rules", len(text), MaxLength)}}
	}
	ast, issues := c.env.Compile(text)
	if err := issues.Err(); err != nil {
		return nil, told(issues)
	}
	if ast.OutputType() != cel.BoolType {
		return nil, []*Error{{1, 1, fmt.Sprintf("is of type %s, not bool: a condition is true or false, as size > 1000000", ast.OutputType())}}
	}
	program, err := c.env.Program(ast, cel.CostLimit(maxCost), cel.EvalOptions(cel.OptOptimize))
	if err != nil {
		return nil, []*Error{{1, 1, plain(err.Error())}}
	}
	return &condition{program: program, facts: c.facts, text: text}, nil
}

// told makes what the compiler says readable: the first lines of its messages, with places from 1.
func told(issues *cel.Issues) (out []*Error) {
	const most = 5
	for _, e := range issues.Errors() {
		if len(out) == most {
			break
		}
		out = append(out, &Error{max(e.Location.Line(), 1), max(e.Location.Column(), 0) + 1, plain(e.Message)})
	}
	return out
}

func plain(message string) string {
	message = strings.Join(strings.Fields(message), " ")
	message = strings.ReplaceAll(message, " (in container '')", "")
	message, _, _ = strings.Cut(message, " expecting {") // the names of all tokens help nobody
	const most = 300
	if len(message) > most {
		message = strings.ToValidUTF8(message[:most], "") + "…"
	}
	return message
}

// condition is one that was compiled; it is used by many goroutines.
type condition struct {
	program cel.Program
	facts   map[string]Fact
	text    string
}

// Holds evaluates it for one recipient of a Record. What it reads and is not known yet, and what costs too much, is no
// yes: why says so.
func (c *condition) Holds(r *gateway.Record, rcpt int, points float64) (yes bool, why string) {
	e := &evaluation{facts: facts{r: r, rcpt: rcpt, points: points}, known: c.facts}
	out, _, err := c.program.Eval(e)
	if err != nil {
		return false, plain(err.Error())
	}
	yes, ok := out.Value().(bool)
	if !ok {
		return false, "it is neither true nor false"
	}
	return yes, ""
}

// String is the text of the condition.
func (c *condition) String() string { return c.text }
