package engine

import (
	"context"
	"fmt"
	"strings"
	"time"

	enumspb "go.temporal.io/api/enums/v1"
	workflowpb "go.temporal.io/api/workflow/v1"
	"go.temporal.io/api/workflowservice/v1"
	"go.temporal.io/sdk/client"

	"github.com/grapnel/grapnel/internal/event"
	"github.com/grapnel/grapnel/internal/program"
)

// tuning is one of Temporal's dynamic settings in which the embedded engine differs from the
// Temporal CLI's dev server. value is JSON, as the CLI takes it.
type tuning struct {
	name, value string
	// limit marks a setting that lifts a limit or closes a hole; the others save cost.
	limit bool
}

// tunings returns the dynamic settings of the embedded engine, each with its reason. The saving of
// each was measured against the engine without any of them; docs/performance.md has the figures.
// None of them gives up durability: every transaction is still synced.
func tunings() []tuning {
	return []tuning{
		// The engine does not call home for newer versions.
		{name: "frontend.enableServerVersionCheck", value: "false", limit: true},
		// The engine's HTTP port can't be closed, and would accept a cross-site POST from a web
		// page. No host name is allowed there, so it answers nobody; we use gRPC only.
		{name: "frontend.httpAllowedHosts", value: `["nobody.invalid"]`, limit: true},
		// Limits per second are for clusters with many tenants; here the disk is the limit.
		{name: "frontend.rps", value: "100000", limit: true},
		{name: "frontend.namespaceRPS", value: "100000", limit: true},
		{name: "history.rps", value: "100000", limit: true},
		{name: "matching.rps", value: "100000", limit: true},

		// Visibility records are written in batches, five times a second instead of twenty, so that
		// SQLite's one connection is free for starts meanwhile. Five batches of this size are the
		// full rate of 2,000 records a second.
		{name: "history.visibilityProcessorMaxPollRPS", value: "5"},
		{name: "history.visibilityTaskBatchSize", value: "400"},
		// The CLI makes the dev server read the search attributes from the database in each call
		// that uses one. They can be cached: on SQL this is the numbered columns, which never
		// change; the namespace's names for them are in the namespace's own cache anyway. Setup
		// waits until a new name is known.
		{name: "system.forceSearchAttributesCacheRefreshOnRead", value: "false"},
		// By default Temporal puts a second between two runs of one ID, which delays a dead letter
		// and its replay.
		{name: "history.workflowIdReuseMinimalInterval", value: `"1ms"`},
		// A deleted run leaves the list only when the transfer queue's position past its close is
		// saved. By default that is every 30 s, for which replayed dead letters would stay listed.
		{name: "history.transferProcessorUpdateAckInterval", value: `"200ms"`},
	}
}

// dynamicConfig returns the settings as the Temporal CLI takes them. A stock engine gets only those
// that lift limits, because a comparison with it must not measure its limits.
func dynamicConfig(stock bool) []string {
	var settings []string
	for _, t := range tunings() {
		if t.limit || !stock {
			settings = append(settings, t.name+"="+t.value)
		}
	}
	return settings
}

// Finding tells whether a Temporal that runs elsewhere has one setting, as far as that shows from
// outside.
type Finding struct {
	// Setting is the setting's name with the recommended value.
	Setting string `json:"setting"`
	// State is one of Set, Off and Unknown.
	State State `json:"state"`
	// Detail says what the state costs, or why it is not known.
	Detail string `json:"detail"`
}

// State is what is known of a setting.
type State string

// The states of a setting. Temporal shows its dynamic configuration to nobody; only its effects
// tell.
const (
	Set     State = "set"
	Off     State = "off"
	Unknown State = "can't tell"
)

// maxLookedAt is how many dead letters Tuning looks at.
const maxLookedAt = 20

// staleFor is how long a replayed dead letter may stay listed if the transfer queue's position is
// saved every 200 ms. Measured: up to 4 s with that setting, 36 s without.
const staleFor = 10 * time.Second

// Tuning tells which settings that make events cheaper or replays faster are off on a Temporal that
// runs elsewhere. It judges by their effects on the newest dead letters, and by the kind of
// database. It returns nothing for the embedded engine, which has them all, and for Temporal Cloud,
// which needs none.
func Tuning(ctx context.Context, c client.Client, s Settings) ([]Finding, error) {
	host, _, _ := strings.Cut(s.Address, ":")
	if s.options == nil || strings.HasSuffix(host, ".tmprl.cloud") || strings.HasSuffix(host, ".temporal.io") {
		return nil, nil
	}
	listed, err := c.ListWorkflow(ctx, &workflowservice.ListWorkflowExecutionsRequest{
		Namespace: s.Namespace, PageSize: maxLookedAt,
		Query: `WorkflowType="` + event.DeadLetter + `" AND ExecutionStatus="Failed"`,
	})
	if err != nil {
		return nil, fmt.Errorf("list the newest dead letters: %w", err)
	}
	reuse := Finding{"history.workflowIdReuseMinimalInterval=1ms", Unknown, "No dead letter shows it yet."}
	ack := Finding{"history.transferProcessorUpdateAckInterval=200ms", Unknown, "No dead letter was replayed lately."}
	for _, run := range listed.GetExecutions() {
		if reuse.State == Unknown {
			reuse.set(reuseOf(ctx, c, run))
		}
		if ack.State == Unknown {
			ack.set(ackOf(ctx, c, run))
		}
	}
	findings := []Finding{reuse, ack}
	info, err := c.WorkflowService().GetClusterInfo(ctx, &workflowservice.GetClusterInfoRequest{})
	if err == nil && info.GetPersistenceStore() == "sqlite" {
		findings = append(findings, Finding{
			"the embedded engine's settings for SQLite", Unknown,
			"This is a dev server: as the Temporal CLI starts it, an event costs it nearly twice what it costs the one that `" + program.Command("up") + "` runs.",
		})
	}
	return findings, nil
}

// set sets the state and its detail, unless the state is Unknown.
func (f *Finding) set(state State, detail string) {
	if state != Unknown {
		f.State, f.Detail = state, detail
	}
}

// reuseOf tells by the first event of a dead letter whether Temporal made it wait until a second
// had passed since the start of the run before. It shows only if that run took less than a second.
func reuseOf(ctx context.Context, c client.Client, run *workflowpb.WorkflowExecutionInfo) (State, string) {
	id := run.GetExecution()
	first, err := c.GetWorkflowHistory(ctx, id.GetWorkflowId(), id.GetRunId(), false, enumspb.HISTORY_EVENT_FILTER_TYPE_ALL_EVENT).Next()
	if err != nil {
		return Unknown, ""
	}
	began := first.GetWorkflowExecutionStartedEventAttributes()
	if began.GetFirstWorkflowTaskBackoff().AsDuration() > 2*time.Millisecond {
		return Off, "A dead letter, and its replay, wait until a second has passed since the run before began."
	}
	before, err := c.DescribeWorkflowExecution(ctx, id.GetWorkflowId(), began.GetContinuedExecutionRunId())
	if err != nil || began.GetContinuedExecutionRunId() == "" {
		return Unknown, ""
	}
	info := before.GetWorkflowExecutionInfo()
	if info.GetCloseTime().AsTime().Sub(info.GetExecutionTime().AsTime()) < time.Second/2 {
		return Set, ""
	}
	return Unknown, ""
}

// ackOf tells by a deleted dead letter that is still listed whether it has been so for too long.
func ackOf(ctx context.Context, c client.Client, run *workflowpb.WorkflowExecutionInfo) (State, string) {
	id := run.GetExecution()
	if _, err := c.DescribeWorkflowExecution(ctx, id.GetWorkflowId(), id.GetRunId()); !isNotFound(err) {
		return Unknown, ""
	}
	latest, err := c.DescribeWorkflowExecution(ctx, id.GetWorkflowId(), "")
	if err != nil || time.Since(latest.GetWorkflowExecutionInfo().GetStartTime().AsTime()) < staleFor {
		return Unknown, ""
	}
	return Off, "A replayed dead letter stays listed for half a minute."
}
