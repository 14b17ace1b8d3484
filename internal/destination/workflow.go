package destination

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/grapnel/grapnel/internal/event"
	"github.com/grapnel/grapnel/internal/expression"
)

// Workflow is a workflow that an event starts, signals or updates. Its names and arguments are
// templates over the event, as order-{{.body.order.id}}.
type Workflow struct {
	// ID is the template of the workflow's ID. It has to begin with fixed text, so that no sender
	// can name somebody else's workflow.
	ID string `yaml:"id"`
	// Type is the template of the workflow's type, for starting it.
	Type string `yaml:"type"`
	// TaskQueue is the task queue of the workflow's worker, for starting it.
	TaskQueue string `yaml:"task_queue"`
	// Signal is the template of the signal's name; without Signal and Update the event
	// starts the workflow.
	Signal string `yaml:"signal"`
	// Update is the template of the update's name. The delivery succeeds or fails as the update
	// does.
	Update string `yaml:"update"`
	// Start says to start the workflow first where Signal or Update finds none.
	Start bool `yaml:"start"`
	// Args are templates of the arguments of the signal or update, or of the start where there is
	// neither. A template that is nothing but a part of the event, as {{.body.data}}, gives that
	// part with its type; any other gives a text. By default the only argument is the event with
	// its body.
	Args []string `yaml:"args"`
	// StartArgs are templates of the arguments with which Start starts the workflow; by default
	// there are none.
	StartArgs []string `yaml:"start_args"`
	// Timeout is how long one attempt may take.
	Timeout time.Duration `yaml:"timeout"`
}

// SetDefaults sets the values of keys that the file does not give.
func (w *Workflow) SetDefaults() { w.Timeout = DefaultTimeout }

// starts tells whether a delivery may start the workflow.
func (w *Workflow) starts() bool { return w.Start || w.alone() }

// alone tells whether a delivery starts the workflow and does nothing else.
func (w *Workflow) alone() bool { return w.Signal == "" && w.Update == "" }

func (w *Workflow) check(s *Spec, r Report) {
	w.checkUse(r)
	w.checkTemplates(r)
	r.Duration("workflow.timeout", w.Timeout, shortestDelay, 10*time.Minute)
	if s.Transform != nil && len(s.Transform.Headers) > 0 {
		r.Fault("transform.headers", "has no effect on a workflow, which gets no headers; remove the setting")
	}
	if s.Transform != nil && s.Transform.Body != "" && r.Given("workflow.args") {
		r.Fault("transform.body", "has no effect beside workflow.args, which say what the workflow gets; remove one of the two")
	}
}

// checkTemplates reports settings that are missing, and templates that can't be read.
func (w *Workflow) checkTemplates(r Report) {
	for _, one := range []struct{ path, text, missing string }{
		{"workflow.id", w.ID, "is missing; give the ID of the workflow, as order-{{.body.order.id}}"},
		{"workflow.type", w.Type, ""},
		{"workflow.signal", w.Signal, ""},
		{"workflow.update", w.Update, ""},
	} {
		switch _, err := w.template(one.path, one.text); {
		case one.text == "" && one.missing != "":
			r.Fault(one.path, one.missing)
		case one.text != "" && err != nil:
			r.Fault(one.path, err.Error())
		case one.text == "" && r.Given(one.path):
			r.Fault(one.path, "is empty; give it a name or remove the setting")
		}
	}
	for path, list := range map[string][]string{"workflow.args": w.Args, "workflow.start_args": w.StartArgs} {
		for i, text := range list {
			if _, err := expression.ParseTemplate(text); err != nil {
				r.Fault(fmt.Sprintf("%s[%d]", path, i), err.Error())
			}
		}
	}
}

// checkUse reports settings that don't go together.
func (w *Workflow) checkUse(r Report) {
	if w.Signal != "" && w.Update != "" {
		r.Fault("workflow.update", "stands beside signal; an event does one of the two, so make it two destinations")
	}
	if w.alone() && r.Given("workflow.start") && !w.Start {
		r.Fault("workflow.start", "is false, so nothing would happen; name a signal or an update, or remove the setting")
	}
	if w.alone() && r.Given("workflow.start_args") {
		r.Fault("workflow.start_args", "are for a start beside a signal or update; write args")
	}
	for _, one := range []struct{ path, text, missing string }{
		{"workflow.type", w.Type, "is missing; give the type of the workflow that is started"},
		{"workflow.task_queue", w.TaskQueue, "is missing; give the task queue of the workflow's worker"},
	} {
		switch {
		case w.starts() && one.text == "":
			r.Fault(one.path, one.missing)
		case !w.starts() && one.text != "":
			r.Fault(one.path, "has no effect where no workflow is started; set start: true or remove the setting")
		}
	}
	if !w.starts() && len(w.StartArgs) > 0 {
		r.Fault("workflow.start_args", "have no effect where no workflow is started; set start: true or remove the setting")
	}
}

// template reads the template of a setting.
func (w *Workflow) template(path, text string) (*expression.Template, error) {
	t, err := expression.ParseTemplate(text)
	if err != nil || path != "workflow.id" {
		return t, err //nolint:wrapcheck // The caller names the setting.
	}
	literal := t.Literal()
	for _, own := range []string{"grapnel-", "operation-"} {
		if strings.HasPrefix(literal, own) {
			return nil, fmt.Errorf("must not begin with %s, as grapnel's own workflows do", own)
		}
	}
	if strings.TrimSpace(literal) == "" {
		return nil, errors.New("must begin with a text of its own, as order-, or a sender could name any workflow there is")
	}
	return t, nil
}

func (w *Workflow) open(s *Spec, d Deps) (Kind, error) {
	f := &workflowDestination{name: s.Name, spec: *w, deps: d}
	var faults []error
	parse := func(path, text string) *expression.Template {
		if text == "" {
			return nil
		}
		t, err := w.template(path, text)
		if err != nil {
			faults = append(faults, fmt.Errorf("%s: %w", path, err))
		}
		return t
	}
	f.id, f.typ = parse("workflow.id", w.ID), parse("workflow.type", w.Type)
	f.verb = parse("workflow.signal", w.Signal)
	if f.verb == nil {
		f.verb = parse("workflow.update", w.Update)
	}
	for _, text := range w.Args {
		f.args = append(f.args, parse("workflow.args", text))
	}
	for _, text := range w.StartArgs {
		f.startArgs = append(f.startArgs, parse("workflow.start_args", text))
	}
	if f.id == nil {
		faults = append(faults, errors.New("workflow.id is missing"))
	}
	if err := errors.Join(faults...); err != nil {
		return nil, err
	}
	return f, nil
}

// workflowDestination is a checked Workflow, ready to take events.
type workflowDestination struct {
	name string
	spec Workflow
	deps Deps

	// verb is the name of the signal or update.
	id, typ, verb   *expression.Template
	args, startArgs []*expression.Template
}

// Route implements Kind.
func (f *workflowDestination) Route(r *event.Route) { r.Timeout = f.spec.Timeout }

// Target implements Kind.
func (f *workflowDestination) Target() string { return f.spec.target() }

func (w *Workflow) target() string {
	s := "workflow " + w.ID
	if w.Type != "" {
		s = "workflow " + w.Type + " " + w.ID
	}
	if w.TaskQueue != "" {
		s += " on " + w.TaskQueue
	}
	return s
}

// Close implements Kind.
func (f *workflowDestination) Close() {}
