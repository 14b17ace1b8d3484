package layout_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"go/ast"
	"go/importer"
	"go/parser"
	"go/token"
	"go/types"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// Adopters use these packages; nobody can know which of their names.
var forAdopters = []string{".", "activities/handler", "activities/handler/handlertest"}

// Names that only tests use, each with the reason why the program has it.
var forTests = map[string]string{
	"internal/app.OpenAPI":            "a test prints docs/openapi.json by it",
	"internal/admin.Server.Addr":      "tests listen on a free port",
	"internal/alert.PrometheusRules":  "a test prints deploy/prometheus/grapnel.rules.yml by it",
	"internal/config.DescribeEnv":     "a test prints the README's table of variables by it",
	"internal/telemetry.Dashboard":    "a test prints the dashboard for Grafana by it",
	"internal/telemetry.MetricsTable": "a test prints docs/metrics.md by it",
}

// An exported name that only tests use makes readers believe in something that the program does not
// do; so does a field that is filled in and never read.
func TestTheProgramUsesEveryExportedName(t *testing.T) {
	if testing.Short() {
		t.Skip("it needs every package compiled")
	}
	universe := load(t)
	var unread []string
	for at, name := range universe.fields {
		if !universe.read[at] {
			unread = append(unread, name)
		}
	}
	require.Empty(t, unread, "nobody but tests reads these fields; take them out")
	var dead []string
	for _, name := range universe.declared {
		if !universe.used[name] && forTests[name] == "" {
			dead = append(dead, name)
		}
	}
	require.Empty(t, dead, "only tests use these; take them out, or unexport them and test what uses them")
	for name := range forTests {
		require.Contains(t, universe.declared, name, "the exception is for a name that is gone")
	}
}

// names holds what the packages of this module declare for each other, and what they use of it. A
// name is "internal/spool.Spool", that of a method "internal/spool.Spool.Put".
type names struct {
	declared   []string
	used       map[string]bool
	methods    map[string]map[string]string // type: method: signature
	interfaces []map[string]string          // method: signature
	// fields are those of exported structs that no tag gives to a file or a message, by where
	// they stand; read tells which of them the program reads.
	fields map[string]string
	read   map[string]bool
}

// listed is a package as `go list` describes it.
type listed struct {
	ImportPath, Dir, Export string
	GoFiles                 []string
}

// load reads the types of the program. Each package of ours is checked from its source, against the
// compiled form of what it imports.
func load(t *testing.T) *names {
	t.Helper()
	list := exec.CommandContext(t.Context(), "go", "list", "-export", "-deps", "-json=ImportPath,Dir,Export,GoFiles", "./...")
	list.Dir = root
	list.Stderr = os.Stderr
	out, err := list.Output()
	require.NoError(t, err)
	compiled := map[string]string{}
	var ours []listed
	for decoder := json.NewDecoder(bytes.NewReader(out)); ; {
		var pkg listed
		err := decoder.Decode(&pkg)
		if errors.Is(err, io.EOF) {
			break
		}
		require.NoError(t, err)
		compiled[pkg.ImportPath] = pkg.Export
		if pkg.ImportPath == module || strings.HasPrefix(pkg.ImportPath, module+"/") {
			ours = append(ours, pkg)
		}
	}
	fset := token.NewFileSet()
	imported := importer.ForCompiler(fset, "gc", func(path string) (io.ReadCloser, error) { return os.Open(compiled[path]) })
	n := &names{
		used: map[string]bool{}, methods: map[string]map[string]string{}, fields: map[string]string{}, read: map[string]bool{},
	}
	var all []*types.Package
	for _, pkg := range ours {
		dir := place(pkg.ImportPath)
		if helper(dir) && !slices.Contains(forAdopters, dir) {
			continue
		}
		var files []*ast.File
		for _, name := range pkg.GoFiles {
			file, err := parser.ParseFile(fset, filepath.Join(pkg.Dir, name), nil, parser.SkipObjectResolution)
			require.NoError(t, err)
			files = append(files, file)
		}
		info := &types.Info{
			Types: map[ast.Expr]types.TypeAndValue{}, Uses: map[*ast.Ident]types.Object{},
			Selections: map[*ast.SelectorExpr]*types.Selection{},
		}
		checked, err := (&types.Config{Importer: imported}).Check(pkg.ImportPath, fset, files, info)
		require.NoError(t, err)
		if !slices.Contains(forAdopters, dir) {
			n.declare(checked)
			n.declareFields(fset, checked)
		}
		n.use(info)
		n.readFields(fset, info, files)
		all = append(all, checked)
	}
	// Only now is all of them loaded that one mentions of another.
	seen := map[*types.Package]bool{}
	for _, pkg := range all {
		n.collectInterfaces(pkg, seen)
	}
	for name, result := range map[string]string{"Unwrap": "error", "Is": "bool", "As": "bool"} {
		// The functions of package errors ask for these.
		for _, argument := range []string{"", "error", "any"} {
			n.interfaces = append(n.interfaces, map[string]string{name: strings.TrimPrefix(argument+", ", ", ") + "; " + result + ", ; "})
		}
	}
	n.addInterface(types.Universe.Lookup("error").Type().Underlying().(*types.Interface))
	n.useByInterface()
	n.useByTemplate(t)
	slices.Sort(n.declared)
	return n
}

// place is the directory of a package of ours.
func place(importPath string) string {
	if importPath == module {
		return "."
	}
	return strings.TrimPrefix(importPath, module+"/")
}

// declare notes the exported names of a package, and the exported methods of its types.
func (n *names) declare(pkg *types.Package) {
	for _, name := range pkg.Scope().Names() {
		object := pkg.Scope().Lookup(name)
		if !object.Exported() {
			continue
		}
		n.declared = append(n.declared, key(object))
		named, ok := object.Type().(*types.Named)
		if _, isType := object.(*types.TypeName); !ok || !isType || object.(*types.TypeName).IsAlias() {
			continue
		}
		signatures := map[string]string{}
		for method := range types.NewMethodSet(types.NewPointer(named)).Methods() {
			signatures[method.Obj().Name()] = signature(method.Obj())
		}
		n.methods[key(object)] = signatures
		for method := range named.Methods() {
			if method.Exported() {
				n.declared = append(n.declared, key(method))
			}
		}
		if face, ok := named.Underlying().(*types.Interface); ok {
			for method := range face.ExplicitMethods() {
				n.declared = append(n.declared, key(object)+"."+method.Name())
			}
		}
	}
}

// key names an object of ours.
func key(object types.Object) string {
	if object.Pkg() == nil {
		return object.Name()
	}
	pkg := place(object.Pkg().Path())
	fn, ok := object.(*types.Func)
	if !ok || fn.Signature().Recv() == nil {
		return pkg + "." + object.Name()
	}
	receiver := fn.Signature().Recv().Type()
	if pointer, ok := receiver.(*types.Pointer); ok {
		receiver = pointer.Elem()
	}
	if named, ok := receiver.(*types.Named); ok {
		return pkg + "." + named.Obj().Name() + "." + object.Name()
	}
	return pkg + "." + object.Name()
}

// declareFields notes the fields of a package's exported structs.
func (n *names) declareFields(fset *token.FileSet, pkg *types.Package) {
	for _, name := range pkg.Scope().Names() {
		object, ok := pkg.Scope().Lookup(name).(*types.TypeName)
		if !ok || !object.Exported() {
			continue
		}
		shape, ok := object.Type().Underlying().(*types.Struct)
		if !ok {
			continue
		}
		for i := range shape.NumFields() {
			if field := shape.Field(i); field.Exported() && !field.Embedded() && shape.Tag(i) == "" {
				n.fields[fieldAt(fset, field)] = key(object) + "." + field.Name()
			}
		}
	}
}

// readFields notes the fields that a package reads: all that it mentions but to set them.
func (n *names) readFields(fset *token.FileSet, info *types.Info, files []*ast.File) {
	set := map[*ast.Ident]bool{}
	for _, file := range files {
		ast.Inspect(file, func(node ast.Node) bool {
			switch node := node.(type) {
			case *ast.AssignStmt:
				for _, target := range node.Lhs {
					if selector, ok := target.(*ast.SelectorExpr); ok {
						set[selector.Sel] = true
					}
				}
			case *ast.KeyValueExpr:
				if ident, ok := node.Key.(*ast.Ident); ok {
					set[ident] = true
				}
			}
			return true
		})
	}
	for ident, object := range info.Uses {
		if field, ok := object.(*types.Var); ok && field.IsField() && !set[ident] {
			n.read[fieldAt(fset, field.Origin())] = true
		}
	}
}

// fieldAt says where a field stands. A compiled package may know its files without their directory.
func fieldAt(fset *token.FileSet, field *types.Var) string {
	at := fset.Position(field.Pos())
	return fmt.Sprintf("%s.%s:%d:%s", field.Pkg().Path(), filepath.Base(at.Filename), at.Line, field.Name())
}

// use notes what one package uses, of itself too.
func (n *names) use(info *types.Info) {
	for _, object := range info.Uses {
		if fn, ok := object.(*types.Func); ok {
			object = fn.Origin()
		}
		n.used[key(object)] = true
	}
	for _, value := range info.Types {
		if face, ok := value.Type.(*types.Interface); ok && value.IsType() {
			n.addInterface(face)
		}
	}
}

// collectInterfaces gathers the interfaces of a package and of all that it imports: what satisfies
// one may be called through it.
func (n *names) collectInterfaces(pkg *types.Package, seen map[*types.Package]bool) {
	if seen[pkg] {
		return
	}
	seen[pkg] = true
	for _, name := range pkg.Scope().Names() {
		if object, ok := pkg.Scope().Lookup(name).(*types.TypeName); ok {
			if face, ok := object.Type().Underlying().(*types.Interface); ok {
				n.addInterface(face)
			}
		}
	}
	for _, next := range pkg.Imports() {
		n.collectInterfaces(next, seen)
	}
}

func (n *names) addInterface(face *types.Interface) {
	signatures := map[string]string{}
	for method := range face.Methods() {
		signatures[method.Name()] = signature(method)
	}
	if len(signatures) > 0 {
		n.interfaces = append(n.interfaces, signatures)
	}
}

// signature is the type of a method, without the names of its parameters.
func signature(method types.Object) string {
	var text strings.Builder
	of := method.Type().(*types.Signature)
	for _, tuple := range []*types.Tuple{of.Params(), of.Results()} {
		for variable := range tuple.Variables() {
			text.WriteString(types.TypeString(variable.Type(), nil) + ", ")
		}
		text.WriteString("; ")
	}
	return text.String()
}

// useByInterface notes the methods by which a type satisfies an interface.
func (n *names) useByInterface() {
	for name, methods := range n.methods {
	next:
		for _, face := range n.interfaces {
			for method, signature := range face {
				if methods[method] != signature {
					continue next
				}
			}
			for method := range face {
				n.used[name+"."+method] = true
			}
		}
	}
}

// useByTemplate notes the methods and fields that pages call.
func (n *names) useByTemplate(t *testing.T) {
	t.Helper()
	called := map[string]bool{}
	for _, path := range files(t) {
		if strings.HasSuffix(path, ".html") {
			for _, match := range regexp.MustCompile(`\.([A-Z]\w*)`).FindAllStringSubmatch(read(t, path), -1) {
				called[match[1]] = true
			}
		}
	}
	for name, methods := range n.methods {
		for method := range methods {
			if called[method] {
				n.used[name+"."+method] = true
			}
		}
	}
	for at, name := range n.fields {
		if called[name[strings.LastIndex(name, ".")+1:]] {
			n.read[at] = true
		}
	}
}
