package engine

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	enumspb "go.temporal.io/api/enums/v1"
	namespacepb "go.temporal.io/api/namespace/v1"
	"go.temporal.io/api/operatorservice/v1"
	"go.temporal.io/api/serviceerror"
	"go.temporal.io/api/workflowservice/v1"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/grapnel/grapnel/internal/event"
	"github.com/grapnel/grapnel/internal/program"
)

// namespace makes the namespace if it is not there. false means that it could not be made, so the
// other steps are left out; the report says why.
func (r *setupRun) namespace(ctx context.Context) (bool, error) {
	found, err := r.describe(ctx)
	switch {
	case err == nil:
		r.noteExisting(found)
		return true, nil
	case errors.Is(err, ErrUnreachable):
		return false, fmt.Errorf("look up namespace %s: %w", r.options.Namespace, err)
	case isNotFound(err):
		return r.register(ctx)
	case isDenied(err):
		r.report.add(r.subject(), Denied, "It cannot be looked at: "+err.Error()+". "+r.howToMakeNamespace())
		return false, nil
	default:
		return false, fmt.Errorf("look up namespace %s: %w", r.options.Namespace, err)
	}
}

func (r *setupRun) subject() string { return "namespace " + r.options.Namespace }

func (r *setupRun) describe(ctx context.Context) (found *workflowservice.DescribeNamespaceResponse, err error) {
	err = r.retry(ctx, "it answers", func(ctx context.Context) error {
		found, err = r.services.WorkflowService().DescribeNamespace(ctx,
			&workflowservice.DescribeNamespaceRequest{Namespace: r.options.Namespace})
		return err
	})
	if isTransient(err) || isOtherServer(err) {
		err = fmt.Errorf("%w: %w", ErrUnreachable, err)
	}
	return found, err
}

func (r *setupRun) register(ctx context.Context) (bool, error) {
	err := r.retry(ctx, "the namespace is made", func(ctx context.Context) error {
		_, err := r.services.WorkflowService().RegisterNamespace(ctx, &workflowservice.RegisterNamespaceRequest{
			Namespace:                        r.options.Namespace,
			Description:                      "Webhook events, handled by grapnel.",
			WorkflowExecutionRetentionPeriod: durationpb.New(r.options.Retention),
		})
		return err
	})
	var exists *serviceerror.NamespaceAlreadyExists
	switch {
	case err == nil:
		r.report.add(r.subject(), Made, "Closed workflows are kept for "+retentionText(r.options.Retention)+".")
		return true, nil
	case errors.As(err, &exists): // Another setup was faster.
		found, err := r.describe(ctx)
		if err != nil {
			return false, fmt.Errorf("look up namespace %s: %w", r.options.Namespace, err)
		}
		r.noteExisting(found)
		return true, nil
	case isDenied(err):
		r.report.add(r.subject(), Denied, r.howToMakeNamespace())
		return false, nil
	case isInvalid(err):
		r.report.add(r.subject(), Failed, fmt.Sprintf("Temporal refuses it with a retention of %s: %v. A day is the least that every cluster takes.", retentionText(r.options.Retention), err))
		return false, nil
	default:
		return false, fmt.Errorf("make namespace %s: %w", r.options.Namespace, err)
	}
}

// noteExisting reports a namespace that was there before.
func (r *setupRun) noteExisting(n *workflowservice.DescribeNamespaceResponse) {
	r.report.add(r.subject(), Already, "")
	r.retained = n.GetConfig().GetWorkflowExecutionRetentionTtl().AsDuration()
}

// retention sets the retention of an existing namespace, if the options allow it. It is the last
// step, so that a set-up that fails has not changed it.
func (r *setupRun) retention(ctx context.Context, have time.Duration) error {
	subject, want := "retention", r.options.Retention
	switch {
	case have == want:
		r.report.add(subject, Already, retentionText(want)+".")
		return nil
	case !r.options.Update:
		r.report.add(subject, Kept, fmt.Sprintf("It is %s, and %s is configured; `%s` changes it for all who use the namespace.",
			retentionText(have), retentionText(want), program.Command("setup --update")))
		return nil
	case have > want && !r.options.AllowShorter:
		r.report.add(subject, Kept, fmt.Sprintf("It is %s and longer than the %s configured; cutting it would delete older workflows, which --allow-shorter-retention does.", retentionText(have), retentionText(want)))
		return nil
	}
	err := r.retry(ctx, "the retention is set", func(ctx context.Context) error {
		_, err := r.services.WorkflowService().UpdateNamespace(ctx, &workflowservice.UpdateNamespaceRequest{
			Namespace: r.options.Namespace,
			Config:    &namespacepb.NamespaceConfig{WorkflowExecutionRetentionTtl: durationpb.New(want)},
		})
		return err
	})
	switch {
	case err == nil:
		r.report.add(subject, Changed, fmt.Sprintf("It was %s and is %s.", retentionText(have), retentionText(want)))
	case isDenied(err):
		r.report.add(subject, Denied, fmt.Sprintf("It is %s and should be %s. %s", retentionText(have), retentionText(want), r.howToSetRetention()))
	case isInvalid(err):
		r.report.add(subject, Failed, fmt.Sprintf("Temporal refuses %s: %v. A day is the least that every cluster takes.", retentionText(want), err))
	default:
		return fmt.Errorf("set the retention of namespace %s: %w", r.options.Namespace, err)
	}
	return nil
}

// retentionText writes a duration as it is configured: 720h, not 720h0m0s.
func retentionText(d time.Duration) string {
	if d%time.Hour == 0 {
		return fmt.Sprintf("%dh", int(d/time.Hour))
	}
	return d.String()
}

// SearchAttributes returns the search attributes that grapnel needs in its namespace, with their
// types.
func SearchAttributes() map[string]enumspb.IndexedValueType {
	return map[string]enumspb.IndexedValueType{
		event.AttributeSource:  enumspb.INDEXED_VALUE_TYPE_KEYWORD,
		event.AttributeType:    enumspb.INDEXED_VALUE_TYPE_KEYWORD,
		event.AttributeSubject: enumspb.INDEXED_VALUE_TYPE_KEYWORD,
		event.AttributeTime:    enumspb.INDEXED_VALUE_TYPE_DATETIME,
		event.AttributeReason:  enumspb.INDEXED_VALUE_TYPE_KEYWORD,
		event.AttributeRoute:   enumspb.INDEXED_VALUE_TYPE_KEYWORD,
	}
}

// isOptional tells the search attributes that only dead letters have. A namespace that an earlier
// version set up lacks them, and events are handled there all the same.
func isOptional(name string) bool {
	return name == event.AttributeReason || name == event.AttributeRoute
}

// attributeNames returns the names sorted, so that messages and command lines do not vary.
func attributeNames() []string {
	return slices.Sorted(maps.Keys(SearchAttributes()))
}

// compareAttributes returns the search attributes that are missing from have, and those that have
// another type there.
func compareAttributes(have map[string]enumspb.IndexedValueType) (missing, wrong []string) {
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
		"`temporal operator search-attribute remove --namespace %s --name %s` and repeat `%s`",
		name, namespace, got, SearchAttributes()[name], namespace, name, program.Command("setup"))
}

// attributes adds the search attributes that are missing. false means that some still are; the
// report says why.
func (r *setupRun) attributes(ctx context.Context) (bool, error) {
	have, err := r.list(ctx)
	if isDenied(err) {
		return r.attributesByQuery(ctx)
	}
	if err != nil {
		return false, err
	}
	missing, wrong := compareAttributes(have)
	for _, name := range wrong {
		r.report.add("search attribute "+name, Failed, wrongType(r.options.Namespace, name, have[name])+".")
	}
	for _, name := range attributeNames() {
		if !slices.Contains(missing, name) && !slices.Contains(wrong, name) {
			r.report.add("search attribute "+name, Already, "")
		}
	}
	if len(missing) == 0 || len(wrong) > 0 {
		return len(wrong) == 0, nil // If one has the wrong type, adding the others would be of no use.
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
	return outcome == Made, nil
}

// attributesByQuery checks the attributes by a query. It is for an API key that may not list them;
// such a key can't add them either.
func (r *setupRun) attributesByQuery(ctx context.Context) (bool, error) {
	err := r.retry(ctx, "it counts workflows", func(ctx context.Context) error {
		return asNotYet(probeAttributes(ctx, r.services, r.options.Namespace))
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
		return asNotYet(err)
	})
	if err != nil {
		return nil, fmt.Errorf("list the search attributes of namespace %s: %w", r.options.Namespace, err)
	}
	return have, nil
}

// add adds those of names that are missing, and repeats it until all are there: while another
// set-up does the same, Temporal answers that it is unavailable or that they exist.
func (r *setupRun) add(ctx context.Context, names []string) error {
	err := r.retry(ctx, "the search attributes are added", func(ctx context.Context) error {
		have, err := listAttributes(ctx, r.services, r.options.Namespace)
		if err != nil {
			return asNotYet(err)
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
		return asNotYet(err)
	})
	if err != nil {
		return fmt.Errorf("add the search attributes of namespace %s: %w", r.options.Namespace, err)
	}
	return nil
}

// freeColumns frees the second column of an attribute that has two. Temporal's SQL visibility maps
// attributes to numbered columns, and does not check whether another call has just mapped the same
// one, so two set-ups at once can give one name two columns. The first column is kept, so that all
// set-ups agree.
func (r *setupRun) freeColumns(ctx context.Context) error {
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

// The texts below tell people how to do what grapnel is not permitted to do. The commands are those
// of the Temporal CLI and of tcld, Temporal Cloud's own tool.

func (r *setupRun) days() int {
	return max(1, int((r.options.Retention+24*time.Hour-1)/(24*time.Hour)))
}

func (r *setupRun) howToMakeNamespace() string {
	return fmt.Sprintf("Let someone who may run `temporal operator namespace create --namespace %s --retention %s`; "+
		"on Temporal Cloud make it in the web UI or with `tcld namespace create --namespace %s --region REGION --retention-days %d`. Then repeat `%s`.",
		r.options.Namespace, retentionText(r.options.Retention), r.options.Namespace, r.days(), program.Command("setup"))
}

func (r *setupRun) howToSetRetention() string {
	return fmt.Sprintf("Let someone who may run `temporal operator namespace update --namespace %s --retention %s`; "+
		"on Temporal Cloud set it in the web UI or with `tcld namespace retention set --namespace %s --retention-days %d`.",
		r.options.Namespace, retentionText(r.options.Retention), r.options.Namespace, r.days())
}

func (r *setupRun) howToAdd(names []string) string {
	types := SearchAttributes()
	var self, cloud strings.Builder
	for _, name := range names {
		fmt.Fprintf(&self, " --name %s --type %s", name, types[name])
		fmt.Fprintf(&cloud, " --search-attribute %s=%s", name, types[name])
	}
	return fmt.Sprintf("Let someone who may run `temporal operator search-attribute create --namespace %s%s`; "+
		"on Temporal Cloud add them in the web UI or with `tcld namespace search-attributes add --namespace %s%s`. Then repeat `%s`.",
		r.options.Namespace, self.String(), r.options.Namespace, cloud.String(), program.Command("setup"))
}
