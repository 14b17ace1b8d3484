package engine

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"

	enumspb "go.temporal.io/api/enums/v1"
	namespacepb "go.temporal.io/api/namespace/v1"
	"go.temporal.io/api/operatorservice/v1"
	"go.temporal.io/api/serviceerror"
	"go.temporal.io/api/workflowservice/v1"

	"github.com/grapnel/grapnel/internal/event"
)

// SearchAttributes gives the search attributes that grapnel needs in its
// namespace, with their types.
func SearchAttributes() map[string]enumspb.IndexedValueType {
	return map[string]enumspb.IndexedValueType{
		event.AttributeSource:  enumspb.INDEXED_VALUE_TYPE_KEYWORD,
		event.AttributeType:    enumspb.INDEXED_VALUE_TYPE_KEYWORD,
		event.AttributeSubject: enumspb.INDEXED_VALUE_TYPE_KEYWORD,
		event.AttributeTime:    enumspb.INDEXED_VALUE_TYPE_DATETIME,
	}
}

// attributeNames gives the names in a fixed order, so that messages and
// command lines are the same every time.
func attributeNames() []string {
	return slices.Sorted(maps.Keys(SearchAttributes()))
}

// compare tells which of the search attributes are missing from have, and
// which are there with another type.
func compare(have map[string]enumspb.IndexedValueType) (missing, wrong []string) {
	want := SearchAttributes()
	for _, name := range attributeNames() {
		switch got, found := have[name]; {
		case !found:
			missing = append(missing, name)
		case got != want[name]:
			wrong = append(wrong, name)
		}
	}
	return missing, wrong
}

func wrongType(namespace, name string, got enumspb.IndexedValueType) string {
	return fmt.Sprintf("search attribute %s of namespace %s is of type %s and must be %s; "+
		"use a namespace of its own for grapnel, or let an operator remove it with "+
		"`temporal operator search-attribute remove --namespace %s --name %s` and repeat `grapnel setup`",
		name, namespace, got, SearchAttributes()[name], namespace, name)
}

// attributes adds what is missing; false means that some still are and the
// report says why.
func (r *setupRun) attributes(ctx context.Context) (bool, error) {
	have, err := r.list(ctx)
	if isDenied(err) {
		return r.unlisted(ctx)
	}
	if err != nil {
		return false, err
	}
	missing, wrong := compare(have)
	for _, name := range wrong {
		r.report.add("search attribute "+name, Failed, wrongType(r.options.Namespace, name, have[name])+".")
	}
	for _, name := range attributeNames() {
		if !slices.Contains(missing, name) && !slices.Contains(wrong, name) {
			r.report.add("search attribute "+name, Already, "")
		}
	}
	if len(missing) == 0 {
		return len(wrong) == 0, nil
	}
	err = r.add(ctx, missing)
	outcome, detail := Made, ""
	switch {
	case isDenied(err):
		outcome, detail = Denied, r.howToAdd(missing)
	case isInvalid(err):
		outcome, detail = Failed, fmt.Sprintf("Temporal refuses it: %v. Use a namespace of its own for grapnel, where there is room.", err)
	case err != nil:
		return false, err
	}
	for _, name := range missing {
		r.report.add("search attribute "+name, outcome, detail)
	}
	return outcome == Made && len(wrong) == 0, nil
}

// unlisted judges the attributes by a query, for whom Temporal does not let
// list them: then they cannot be added either.
func (r *setupRun) unlisted(ctx context.Context) (bool, error) {
	err := r.retry(ctx, "it counts workflows", func(ctx context.Context) error {
		return unseen(probe(ctx, r.services, r.options.Namespace))
	})
	switch {
	case err == nil:
		r.report.add("search attributes", Already, "")
		return true, nil
	case isInvalid(err) || isDenied(err):
		r.report.add("search attributes", Denied, r.howToAdd(attributeNames()))
		return false, nil
	default:
		return false, fmt.Errorf("query the search attributes of namespace %s: %w", r.options.Namespace, err)
	}
}

func (r *setupRun) list(ctx context.Context) (have map[string]enumspb.IndexedValueType, err error) {
	err = r.retry(ctx, "it lists the search attributes", func(ctx context.Context) error {
		have, err = listAttributes(ctx, r.services, r.options.Namespace)
		return unseen(err)
	})
	if err != nil {
		return nil, fmt.Errorf("list the search attributes of namespace %s: %w", r.options.Namespace, err)
	}
	return have, nil
}

// add adds what of names is still missing, again and again while other setups
// do the same: Temporal answers such a race as unavailable or as there.
func (r *setupRun) add(ctx context.Context, names []string) error {
	err := r.retry(ctx, "the search attributes are added", func(ctx context.Context) error {
		have, err := listAttributes(ctx, r.services, r.options.Namespace)
		if err != nil {
			return unseen(err)
		}
		missing := map[string]enumspb.IndexedValueType{}
		for _, name := range names {
			if _, found := have[name]; !found {
				missing[name] = SearchAttributes()[name]
			}
		}
		if len(missing) == 0 {
			return nil
		}
		_, err = r.services.OperatorService().AddSearchAttributes(ctx, &operatorservice.AddSearchAttributesRequest{
			Namespace: r.options.Namespace, SearchAttributes: missing,
		})
		var exists *serviceerror.AlreadyExists
		if err == nil || errors.As(err, &exists) {
			return notYet{errors.New("the search attributes are not listed yet")}
		}
		return unseen(err)
	})
	if err != nil {
		return fmt.Errorf("add the search attributes of namespace %s: %w", r.options.Namespace, err)
	}
	return nil
}

// unique gives back columns that hold an attribute twice. Temporal's SQL
// visibility maps attributes to numbered columns without looking whether
// another call has just done so; two setups at once can then give one name two
// columns. The first column is kept, so that all setups agree which.
func (r *setupRun) unique(ctx context.Context) error {
	found, err := r.describe(ctx)
	if err != nil {
		return fmt.Errorf("look up namespace %s: %w", r.options.Namespace, err)
	}
	columns := found.GetConfig().GetCustomSearchAttributeAliases()
	seen, extra := map[string]bool{}, map[string]string{}
	for _, column := range slices.Sorted(maps.Keys(columns)) {
		name := columns[column]
		if _, ours := SearchAttributes()[name]; ours && seen[name] {
			extra[column] = ""
		}
		seen[name] = true
	}
	if len(extra) == 0 {
		return nil
	}
	err = r.retry(ctx, "the search attributes are unique", func(ctx context.Context) error {
		_, err := r.services.WorkflowService().UpdateNamespace(ctx, &workflowservice.UpdateNamespaceRequest{
			Namespace: r.options.Namespace,
			Config:    &namespacepb.NamespaceConfig{CustomSearchAttributeAliases: extra},
		})
		return err
	})
	if err != nil {
		return fmt.Errorf("free columns that hold a search attribute of namespace %s twice: %w", r.options.Namespace, err)
	}
	return nil
}
