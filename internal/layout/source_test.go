package layout_test

import (
	"go/ast"
	"go/token"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestEveryPackageSaysWhatItIs(t *testing.T) {
	comments := map[string]string{}
	for _, file := range goFiles(t) {
		if !strings.HasSuffix(file.path, "_test.go") {
			comments[file.dir] += file.syntax.Doc.Text()
		}
	}
	require.NotEmpty(t, comments)
	for dir, comment := range comments {
		require.NotEmpty(t, strings.TrimSpace(comment), "no file of %s has a package comment", dir)
	}
}

func TestNothingRunsBeforeMain(t *testing.T) {
	for _, file := range goFiles(t) {
		for _, decl := range file.syntax.Decls {
			if fn, ok := decl.(*ast.FuncDecl); ok && fn.Recv == nil {
				require.NotEqual(t, "init", fn.Name.Name, "%s: there is no init; wire it in internal/app", file.position(fn))
			}
		}
	}
}

func TestOnlyMainExits(t *testing.T) {
	exits := map[string]int{}
	for _, file := range goFiles(t) {
		if file.test {
			continue
		}
		ast.Inspect(file.syntax, func(node ast.Node) bool {
			if isSelector(node, "os", "Exit") || isSelector(node, "log", "Fatal") || isSelector(node, "log", "Fatalf") {
				exits[file.path]++
			}
			return true
		})
	}
	require.Equal(t, map[string]int{"grapnel.go": 1}, exits, "grapnel.Main exits, once; everything else returns an error")
}

// isSelector tells pkg.name in an expression.
func isSelector(node ast.Node, pkg, name string) bool {
	selector, ok := node.(*ast.SelectorExpr)
	if !ok || selector.Sel.Name != name {
		return false
	}
	ident, ok := selector.X.(*ast.Ident)
	return ok && ident.Name == pkg
}

func TestNoPackageVariableChanges(t *testing.T) {
	byDir := map[string][]goFile{}
	for _, file := range goFiles(t) {
		if !file.test {
			byDir[file.dir] = append(byDir[file.dir], file)
		}
	}
	var changing []string
	for _, pkg := range byDir {
		written := writes(pkg)
		for _, file := range pkg {
			for _, decl := range file.syntax.Decls {
				general, ok := decl.(*ast.GenDecl)
				if !ok || general.Tok != token.VAR {
					continue
				}
				for _, spec := range general.Specs {
					if value := spec.(*ast.ValueSpec); !fixed(general, value, written) {
						changing = append(changing, file.position(value)+" "+value.Names[0].Name)
					}
				}
			}
		}
	}
	require.Empty(t, changing, "these can change; pass them in, or make them functions")
}

// fixed tells a variable that is one only because Go has no constant of its kind: a compile-time
// check, an embedded file, a sentinel error, a compiled pattern, a value computed once, or an
// unexported table that its package never writes to. A local variable of the table's name counts as
// the table; name it otherwise.
func fixed(decl *ast.GenDecl, spec *ast.ValueSpec, written map[string]bool) bool {
	if strings.Contains(embedding(decl, spec), "//go:embed ") {
		return true
	}
	for i, name := range spec.Names {
		if name.Name == "_" {
			continue
		}
		if linked(name.Name) && !written[name.Name] {
			continue
		}
		if i >= len(spec.Values) || written[name.Name] || !fixedValue(spec.Values[i], name.IsExported()) {
			return false
		}
	}
	return true
}

// linked tells the three names of internal/app/version.go that the linker sets, which a constant
// can't be.
func linked(name string) bool { return name == "version" || name == "commit" || name == "date" }

// embedding gives the directives above a declaration.
func embedding(decl *ast.GenDecl, spec *ast.ValueSpec) string {
	var lines strings.Builder
	for _, group := range []*ast.CommentGroup{decl.Doc, spec.Doc} {
		if group == nil {
			continue
		}
		for _, comment := range group.List {
			lines.WriteString(comment.Text + "\n")
		}
	}
	return lines.String()
}

// fixedValue tells an initial value that nobody can change, or, unexported, one that the package
// alone could.
func fixedValue(value ast.Expr, exported bool) bool {
	switch value := value.(type) {
	case *ast.CallExpr:
		selector, ok := value.Fun.(*ast.SelectorExpr)
		if !ok {
			return false
		}
		for _, maker := range [][2]string{
			{"errors", "New"},
			{"fmt", "Errorf"},
			{"regexp", "MustCompile"},
			{"strings", "NewReplacer"},
			{"sync", "OnceValue"},
			{"sync", "OnceValues"},
			{"netip", "MustParseAddr"},
			{"netip", "MustParsePrefix"},
		} {
			if isSelector(selector, maker[0], maker[1]) {
				return true
			}
		}
		return false
	case *ast.CompositeLit:
		return !exported
	default:
		return false
	}
}

// writes collects the names that a package assigns to, in whole or in part, or takes the address
// of.
func writes(pkg []goFile) map[string]bool {
	written := map[string]bool{}
	note := func(target ast.Expr) {
		if name := base(target); name != "" {
			written[name] = true
		}
	}
	for _, file := range pkg {
		ast.Inspect(file.syntax, func(node ast.Node) bool {
			switch node := node.(type) {
			case *ast.AssignStmt:
				if node.Tok == token.DEFINE {
					return true
				}
				for _, target := range node.Lhs {
					note(target)
				}
			case *ast.IncDecStmt:
				note(node.X)
			case *ast.UnaryExpr:
				if node.Op == token.AND {
					note(node.X)
				}
			case *ast.CallExpr:
				if fn, ok := node.Fun.(*ast.Ident); ok && (fn.Name == "delete" || fn.Name == "clear") {
					note(node.Args[0])
				}
			}
			return true
		})
	}
	return written
}

// base gives the variable at the root of x, x.f, x[i] and *x.
func base(target ast.Expr) string {
	switch target := target.(type) {
	case *ast.Ident:
		return target.Name
	case *ast.SelectorExpr:
		return base(target.X)
	case *ast.IndexExpr:
		return base(target.X)
	case *ast.StarExpr:
		return base(target.X)
	case *ast.ParenExpr:
		return base(target.X)
	default:
		return ""
	}
}
