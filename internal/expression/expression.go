// Package expression evaluates what a configuration says over events: conditions and
// values in the Common Expression Language (CEL, https://cel.dev), and names made by
// templates. Whatever an expression does is bounded, because its author wrote it for the
// events that he knows, and a sender writes the events that come.
package expression

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"

	"github.com/grapnel/grapnel/internal/event"
)

// The bounds of an expression.
const (
	// maxLength is the length of its text in characters, maxNodes and maxDepth the size of
	// its syntax tree, maxLoops how deep loops over lists may stand in each other.
	maxLength = 4096
	maxNodes  = 1000
	maxDepth  = 64
	maxLoops  = 3
	// maxCost is what one evaluation may cost, in CEL's units: a comparison is one, ten
	// characters of a text are one.
	maxCost = 1_000_000
	// maxPattern is the size of a regular expression's program. A text of 1 MiB takes a
	// second or two with the worst of that size.
	maxPattern = 300
	// checkEvery is the number of rounds of a loop between two looks at the context.
	checkEvery = 100
	// maxReason is the length in characters of why an evaluation failed.
	maxReason = 300
)

// Variables are the names that an expression may use, for messages and help.
const Variables = "source, type, subject, id, time, received, headers and body"

// Program is an expression that is ready. It is safe for concurrent use.
type Program struct {
	text    string
	program cel.Program
}

// String is the expression as it was written.
func (p *Program) String() string { return p.text }

// Condition compiles an expression that is true or false.
func Condition(text string) (*Program, error) { return compile(text, cel.BoolType) }

// Value compiles an expression of any type.
func Value(text string) (*Program, error) { return compile(text, cel.DynType) }

func compile(text string, want *cel.Type) (*Program, error) {
	if strings.TrimSpace(text) == "" {
		return nil, errors.New("is empty; write an expression, or remove the setting")
	}
	env, err := newEnv()
	if err != nil {
		return nil, err
	}
	ast, issues := env.Compile(text)
	if issues.Err() != nil {
		return nil, syntaxError(issues)
	}
	// What a body holds is known only when it is there.
	if got := ast.OutputType(); want != cel.DynType && !got.IsExactType(want) && !got.IsExactType(cel.DynType) {
		return nil, fmt.Errorf("gives a %s, and a %s is needed", got, want)
	}
	program, err := env.Program(ast,
		cel.EvalOptions(cel.OptOptimize), cel.CostLimit(maxCost), cel.CostTracking(functionCosts{}), cel.InterruptCheckFrequency(checkEvery))
	if err != nil {
		return nil, fmt.Errorf("can't be used: %w", err)
	}
	return &Program{text: text, program: program}, nil
}

func newEnv() (*cel.Env, error) {
	return cel.NewEnv(append(functions(),
		cel.Variable("source", cel.StringType),
		cel.Variable("type", cel.StringType),
		cel.Variable("subject", cel.StringType),
		cel.Variable("id", cel.StringType),
		cel.Variable("time", cel.TimestampType),
		cel.Variable("received", cel.TimestampType),
		cel.Variable("headers", cel.MapType(cel.StringType, cel.StringType)),
		cel.Variable("body", cel.DynType),
		cel.CustomTypeAdapter(adapter{}),
		cel.OptionalTypes(),
		cel.CrossTypeNumericComparisons(true),
		cel.DefaultUTCTimeZone(true),
		cel.ParserExpressionSizeLimit(maxLength),
		cel.ExpressionNodeLimit(maxNodes),
		cel.ExpressionNestingDepthLimit(maxDepth),
		cel.RegexProgramSizeLimit(maxPattern),
		cel.ASTValidators(
			cel.ValidateRegexLiterals(), cel.ValidateDurationLiterals(), cel.ValidateTimestampLiterals(),
			cel.ValidateComprehensionNestingLimit(maxLoops),
		),
	)...)
}

// syntaxError is the first thing that is wrong with an expression, on one line.
func syntaxError(issues *cel.Issues) error {
	all := issues.Errors()
	if len(all) == 0 {
		return issues.Err() //nolint:wrapcheck // It is all there is to say.
	}
	e := all[0]
	message := strings.ReplaceAll(e.Message, " (in container '')", "")
	message, _, _ = strings.Cut(message, " expecting {")
	message = strings.Replace(message, "invalid matches argument", "is no regular expression", 1)
	if strings.Contains(message, "token recognition error at: '= ") {
		message += "; two values are compared by =="
	}
	if strings.HasPrefix(message, "undeclared reference to '") && !strings.Contains(message, "overload") {
		message += "; there are " + Variables
	}
	if e.Location.Column() < 0 {
		return errors.New(message)
	}
	where := fmt.Sprintf("at character %d", e.Location.Column()+1)
	if e.Location.Line() > 1 {
		where = fmt.Sprintf("in line %d, at character %d", e.Location.Line(), e.Location.Column()+1)
	}
	return fmt.Errorf("%s: %s", where, message)
}

// Eval gives the value of the expression for an event.
func (p *Program) Eval(ctx context.Context, in *Input) (ref.Val, error) {
	v, _, err := p.program.ContextEval(ctx, in)
	if err != nil {
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		return nil, &Error{Err: errors.New(event.Clean(oneLine(err.Error()), maxReason))}
	}
	if o, ok := v.(*types.Optional); ok {
		if !o.HasValue() {
			return types.NullValue, nil
		}
		v = o.GetValue()
	}
	return v, nil
}

// Holds tells whether the condition holds for an event. An error is never an answer: the
// event lacks what the condition looks at, say.
func (p *Program) Holds(ctx context.Context, in *Input) (bool, error) {
	v, err := p.Eval(ctx, in)
	if err != nil {
		return false, err
	}
	b, ok := v.(types.Bool)
	if !ok {
		return false, &Error{Err: fmt.Errorf("it gives a %s, and true or false is needed", v.Type().TypeName())}
	}
	return bool(b), nil
}

// Error is an evaluation that failed. It says nothing of the expression, which may hold a
// secret.
type Error struct{ Err error }

// Error is why it failed.
func (e *Error) Error() string { return e.Err.Error() }

// Unwrap is Err.
func (e *Error) Unwrap() error { return e.Err }

func oneLine(s string) string {
	s = strings.Join(strings.Fields(s), " ")
	if strings.Contains(s, "cost limit exceeded") {
		return "it would take too long for this event"
	}
	return s
}
