package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"go.temporal.io/api/workflowservice/v1"
	"go.temporal.io/sdk/client"

	"github.com/grapnel/grapnel/internal/app"
	"github.com/grapnel/grapnel/internal/config"
	"github.com/grapnel/grapnel/internal/engine"
	"github.com/grapnel/grapnel/internal/event"
	"github.com/grapnel/grapnel/internal/program"
)

func checkCommand(p Program) *cobra.Command {
	var asJSON, offline bool
	c := &cobra.Command{
		Use:   "check",
		Short: "Check the configuration, and whether Temporal is ready for it",
		Long: `Check environment and grapnel.yaml, and report every fault with its line and column, and
what works but should be looked at: a handler or destination that no source reaches, for
instance. Then ask Temporal whether it is ready, how many workers there are, and how many
events are dead letters or have ended in a way that no plan foresees.

Exit code 0 means that there is no fault, 1 that there is one.`,
		RunE: func(c *cobra.Command, _ []string) error {
			return p.check(c.Context(), asJSON, offline)
		},
	}
	c.Flags().BoolVar(&asJSON, "json", false, "write the report as JSON")
	c.Flags().BoolVar(&offline, "offline", false, "leave Temporal out")
	return c
}

// checkup is what check finds.
type checkup struct {
	Faults   config.Faults  `json:"faults"`
	Warnings []config.Fault `json:"warnings"`
	// Targets are the handlers and destinations, with the sources that reach them.
	Targets  []app.Target   `json:"targets"`
	Temporal *temporalState `json:"temporal,omitempty"`
}

// temporalState is what check finds of Temporal.
type temporalState struct {
	Address   string `json:"address"`
	Namespace string `json:"namespace"`
	Error     string `json:"error,omitempty"`
	// DeadLetters is the number of events that nobody could handle.
	DeadLetters int64 `json:"deadLetters"`
	// Broken is the number of events whose workflow ended as no plan foresees.
	Broken int64 `json:"broken"`
	// Workers is the number of processes that polled the task queue lately.
	Workers int `json:"workers"`
	// Unpolled are the activity and workflow destinations whose task queue no worker polled lately.
	Unpolled []string `json:"unpolled,omitempty"`
	// Tuning is what can be seen of the settings that grapnel likes.
	Tuning []engine.Finding `json:"tuning,omitempty"`
}

func (p Program) check(ctx context.Context, asJSON, offline bool) error {
	up := checkup{Faults: config.Faults{}, Warnings: []config.Fault{}, Targets: []app.Target{}}
	asked := map[string]bool{}
	lookup := func(name string) (string, bool) {
		asked[name] = true
		return p.Lookup(name)
	}
	env, err := config.LoadEnv(lookup)
	up.add(err)
	known := slices.Sorted(maps.Keys(asked))
	path := env.Config
	if path == "" {
		path, _ = p.Lookup("GRAPNEL_CONFIG")
	}
	cfg, err := config.Load(path, lookup)
	up.add(err)
	up.Warnings = append(up.Warnings, p.unasked(asked, known)...)
	if cfg != nil {
		up.Warnings = append(up.Warnings, cfg.Warnings(time.Now())...)
		up.add(cfg.CheckDevelopment(env.Listen))
		up.Targets, err = p.Targets(cfg)
		up.add(err)
	}
	if !offline {
		up.Temporal = p.askTemporal(ctx, &up, env.TaskQueue, cfg)
	}
	if err := up.write(p, asJSON); err != nil {
		return err
	}
	if len(up.Faults) > 0 || (up.Temporal != nil && up.Temporal.Error != "") {
		return errVerdict
	}
	return nil
}

// unasked warns of variables with the prefix of ours that nobody has asked for:
// a mistyped one would have no effect and nothing would say so.
func (p Program) unasked(asked map[string]bool, known []string) (warnings []config.Fault) {
	const prefix = "GRAPNEL_"
	for _, kv := range slices.Sorted(slices.Values(p.Environ)) {
		name, _, _ := strings.Cut(kv, "=")
		if !strings.HasPrefix(name, prefix) || asked[name] {
			continue
		}
		text := "has no effect, there is no such variable; " + didYouMean(name, known)
		warnings = append(warnings, config.Fault{Path: name, Message: strings.TrimRight(text, "; ")})
	}
	return warnings
}

// add takes the faults of an error.
func (up *checkup) add(err error) {
	var faults config.Faults
	switch {
	case err == nil:
	case errors.As(err, &faults):
		up.Faults = append(up.Faults, faults...)
	default:
		up.Faults = append(up.Faults, config.Fault{Message: err.Error()})
	}
}

func (up *checkup) write(p Program, asJSON bool) error {
	if asJSON {
		e := json.NewEncoder(p.Stdout)
		e.SetIndent("", "  ")
		if err := e.Encode(up); err != nil {
			return fmt.Errorf("write the report: %w", err)
		}
		return nil
	}
	say := func(format string, args ...any) { _, _ = fmt.Fprintf(p.Stdout, format+"\n", args...) }
	for _, f := range up.Faults {
		say("fault: %s", f)
	}
	for _, w := range up.Warnings {
		say("warning: %s", w)
	}
	for _, t := range up.Targets {
		if t.Fault != "" {
			say("warning: %s: %s", t, t.Fault)
		}
	}
	if len(up.Faults) == 0 {
		say("configuration: no fault")
	}
	for _, t := range up.Targets {
		if len(t.Sources) > 0 {
			say("%s: takes %s of source %s", t, strings.Join(t.Events, ", "), strings.Join(t.Sources, ", "))
		}
	}
	up.Temporal.write(say)
	return nil
}

// write tells what was found out of Temporal; of none, nothing.
func (t *temporalState) write(say func(format string, args ...any)) {
	switch {
	case t == nil:
	case t.Error != "":
		say("temporal: %s", t.Error)
	case t.Address == "":
		say("temporal: none configured; '%s' runs its own", program.Command("up"))
	default:
		if t.Workers == 0 {
			say("warning: no worker polls the task queue, so no event is handled; run '%s', or '%s'",
				program.Command("worker"), program.Command("up"))
		}
		for _, u := range t.Unpolled {
			say("warning: %s", u)
		}
		say("temporal: %s, namespace %s, ready; %s, %s, %d broken",
			t.Address, t.Namespace, countOf(t.Workers, "worker"), countOf(int(t.DeadLetters), "dead letter"), t.Broken)
		for _, f := range t.Tuning {
			if f.State != engine.Set {
				say("temporal: %s: %s. %s", f.Setting, f.State, f.Detail)
			}
		}
	}
}

// askTemporal looks at the Temporal that is configured.
func (p Program) askTemporal(ctx context.Context, up *checkup, queue string, cfg *config.Config) *temporalState {
	settings, err := p.Reach(ctx)
	if err != nil {
		up.add(err)
		return nil
	}
	t := &temporalState{Address: settings.Address, Namespace: settings.Namespace}
	if !settings.Configured() {
		return t
	}
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	c, err := engine.Dial(settings, engine.DialOptions{})
	if err == nil {
		defer c.Close()
		err = engine.Ready(ctx, c, settings.Namespace)
	}
	count := func(query string) (n int64) {
		if err != nil {
			return 0
		}
		var r *workflowservice.CountWorkflowExecutionsResponse
		r, err = c.CountWorkflow(ctx, &workflowservice.CountWorkflowExecutionsRequest{
			Namespace: settings.Namespace, Query: query,
		})
		return r.GetCount()
	}
	t.DeadLetters = count(`WorkflowType="` + event.DeadLetter + `" AND ExecutionStatus="Failed"`)
	t.Broken = count(`WorkflowType="` + event.ProcessEvent + `" AND ExecutionStatus IN ("Failed", "Terminated", "TimedOut")`)
	if err == nil {
		t.Workers, err = engine.Workers(ctx, c, settings.Namespace, queue)
	}
	if err == nil && cfg != nil {
		t.Unpolled, err = unpolledDestinations(ctx, c, settings.Namespace, cfg)
	}
	if err == nil {
		t.Tuning, err = engine.Tuning(ctx, c, settings)
	}
	if errors.Is(err, engine.ErrUnreachable) {
		err = app.Unreachable(settings, err)
	}
	if err != nil {
		t.Error = err.Error()
	}
	return t
}

// unpolledDestinations tells of activity and workflow destinations that have no worker.
func unpolledDestinations(ctx context.Context, c client.Client, namespace string, cfg *config.Config) (all []string, err error) {
	for _, name := range slices.Sorted(maps.Keys(cfg.Destinations)) {
		d := cfg.Destinations[name]
		queue, of := d.Queue()
		if queue == "" {
			continue
		}
		n, err := engine.Pollers(ctx, c, namespace, queue, of)
		if err != nil {
			return all, err
		}
		if n > 0 {
			continue
		}
		waits := "for workflows; those that its events start wait for one, so start it"
		if d.Activity != nil {
			waits = fmt.Sprintf("for activities; its events wait %s for one and are dead letters then, so start it", d.Activity.StartWithin)
		}
		all = append(all, fmt.Sprintf("destination %s: no worker polls task queue %s %s", name, queue, waits))
	}
	return all, nil
}
