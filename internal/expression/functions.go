package expression

import (
	"strings"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"
	"cel.dev/cel-go/common/types/traits"
	"cel.dev/cel-go/ext"
)

// maxText is the length in bytes of a text that a function makes. Without it, replacing
// each letter of a long text by another long text would take all memory in one call.
const maxText = 4 << 20

// functions are what expressions have beside the standard of CEL: a few for texts, whose
// results are bounded, and base64.
func functions() []cel.EnvOption {
	list := cel.ListType(cel.StringType)
	member := func(name string, result *cel.Type, fn func(...ref.Val) ref.Val, args ...*cel.Type) cel.EnvOption {
		id := "text_" + name
		return cel.Function(name, cel.MemberOverload(id, args, result, cel.FunctionBinding(fn)))
	}
	return []cel.EnvOption{
		member("lowerAscii", cel.StringType, ofText(lowerASCII), cel.StringType),
		member("upperAscii", cel.StringType, ofText(upperASCII), cel.StringType),
		member("trim", cel.StringType, ofText(strings.TrimSpace), cel.StringType),
		member("split", list, splitText, cel.StringType, cel.StringType),
		member("replace", cel.StringType, replaceText, cel.StringType, cel.StringType, cel.StringType),
		member("join", cel.StringType, joinTexts, list, cel.StringType),
		ext.Encoders(),
	}
}

func ofText(fn func(string) string) func(...ref.Val) ref.Val {
	return func(args ...ref.Val) ref.Val { return types.String(fn(textOf(args[0]))) }
}

// textOf is an argument that CEL has checked to be a text.
func textOf(v ref.Val) string {
	s, _ := v.(types.String)
	return string(s)
}

func lowerASCII(s string) string {
	return strings.Map(func(r rune) rune {
		if 'A' <= r && r <= 'Z' {
			r += 'a' - 'A'
		}
		return r
	}, s)
}

func upperASCII(s string) string {
	return strings.Map(func(r rune) rune {
		if 'a' <= r && r <= 'z' {
			r -= 'a' - 'A'
		}
		return r
	}, s)
}

func splitText(args ...ref.Val) ref.Val {
	return types.NewStringList(types.DefaultTypeAdapter, strings.Split(textOf(args[0]), textOf(args[1])))
}

func replaceText(args ...ref.Val) ref.Val {
	s, from, to := textOf(args[0]), textOf(args[1]), textOf(args[2])
	if n := len(s) + strings.Count(s, from)*(len(to)-len(from)); n > maxText {
		return tooLong()
	}
	return types.String(strings.ReplaceAll(s, from, to))
}

func joinTexts(args ...ref.Val) ref.Val {
	list, ok := args[0].(traits.Lister)
	if !ok {
		return types.MaybeNoSuchOverloadErr(args[0])
	}
	var b strings.Builder
	for it := list.Iterator(); it.HasNext() == types.True; {
		s, ok := it.Next().(types.String)
		if !ok {
			return types.NewErr("join takes a list of texts")
		}
		if b.Len() > 0 {
			b.WriteString(textOf(args[1]))
		}
		if b.WriteString(string(s)); b.Len() > maxText {
			return tooLong()
		}
	}
	return types.String(b.String())
}

func tooLong() ref.Val { return types.NewErr("the text would be longer than 4 MiB") }

// functionCosts says what the functions above cost: a tenth of the characters that they read and
// write, as CEL has it of its own.
type functionCosts struct{}

// CallCost implements cost.ActualCostEstimator.
func (functionCosts) CallCost(_, overload string, args []ref.Val, result ref.Val) *uint64 {
	if !strings.HasPrefix(overload, "text_") {
		return nil
	}
	n := uint64(10)
	for _, v := range append(args, result) {
		if s, ok := v.(traits.Sizer); ok {
			size, _ := s.Size().(types.Int)
			n += uint64(max(size, 0))
		}
	}
	n /= 10
	return &n
}
