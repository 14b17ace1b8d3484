package handler

import (
	"context"
	"errors"
	"fmt"
	"path"
	"runtime"
	"strings"

	"github.com/grapnel/grapnel/internal/event"
)

// Table holds the bindings of one program. Its zero value is an empty table.
type Table struct {
	bindings []Binding
	faults   []error
}

// Binding is a handler and the events to which it is bound.
type Binding struct {
	// Name must not change: events under way and dead letters find the handler by it. It is also
	// the name of the handler's activity.
	Name string
	// Source and Type are names, or patterns in which * stands for any text.
	Source, Type string
	// Options are the options of the binding, or the defaults.
	Options Options
	// Run decodes the body and calls the handler.
	Run func(ctx context.Context, e Attributes, attempt int, body []byte) error
	// At is the place in the source code where the binding is made: "shop/main.go:12".
	At string
}

// Matches tells whether the handler takes an event.
func (b Binding) Matches(e Attributes) bool {
	return event.Match(b.Source, e.Source) && event.Match(b.Type, e.Type)
}

// All lists the bindings in the order they were made.
func (t *Table) All() []Binding { return t.bindings }

// Get finds a binding by its name.
func (t *Table) Get(name string) (Binding, bool) {
	for _, b := range t.bindings {
		if b.Name == name {
			return b, true
		}
	}
	return Binding{}, false
}

// Err reports every binding that can't be used, with its place in the source
// code; nil if all can. Such a binding is not in the table.
func (t *Table) Err() error { return errors.Join(t.faults...) }

// add adds a binding to the table, or notes what is wrong with it.
func (t *Table) add(b Binding) {
	if err := t.judge(b); err != nil {
		t.faults = append(t.faults, fmt.Errorf("%s: %w", b.At, err))
		return
	}
	t.bindings = append(t.bindings, b)
}

func (t *Table) judge(b Binding) error {
	o := b.Options
	switch other, taken := t.Get(b.Name); {
	case b.Source == "":
		return errors.New("the handler has no source; name one of grapnel.yaml, or * for any")
	case strings.ContainsAny(b.Source, "/."):
		return fmt.Errorf("no source of grapnel.yaml can be named %q: it holds a slash or a dot", b.Source)
	case b.Run == nil:
		return fmt.Errorf("the handler of %s/%s is nil", b.Source, b.Type)
	case strings.Contains(b.Name, "."):
		return fmt.Errorf("the name %q holds a dot, and Temporal's replay looks only at what follows the last dot; "+
			"write a slash instead", b.Name)
	case !strings.Contains(b.Name, "/"):
		return fmt.Errorf("the name %q holds no slash, by which handlers are told from destinations; "+
			"write %q, for instance", b.Name, b.Source+"/"+b.Name)
	case taken:
		return fmt.Errorf("the name %q is taken by the handler bound at %s; "+
			"give one of the two another with handler.Name", b.Name, other.At)
	case o.Retry.Attempts < 1:
		return fmt.Errorf("%d attempts: there is at least one", o.Retry.Attempts)
	case o.Timeout <= 0:
		return fmt.Errorf("a time-out of %v leaves no time for an attempt", o.Timeout)
	case o.Retry.Initial < 0 || o.Retry.Max < 0:
		return fmt.Errorf("a backoff from %v to %v: no delay can be negative", o.Retry.Initial, o.Retry.Max)
	case o.Retry.Multiplier < 1:
		return fmt.Errorf("a backoff with the multiplier %v would shrink; 1 keeps the delay, 2 doubles it", o.Retry.Multiplier)
	}
	for _, delay := range o.Retry.Schedule {
		if delay < 0 {
			return fmt.Errorf("a retry delay of %v: no delay can be negative", delay)
		}
	}
	return nil
}

// caller gives the place from which the function that calls caller was called: its file with one
// directory, and its line.
func caller() string {
	_, file, line, ok := runtime.Caller(2)
	if !ok {
		return "unknown place"
	}
	return fmt.Sprintf("%s/%s:%d", path.Base(path.Dir(file)), path.Base(file), line)
}
