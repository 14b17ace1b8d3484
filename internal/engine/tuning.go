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
)

// tuning is one of Temporal's dynamic settings in which the embedded engine differs
// from the Temporal CLI's dev server. Its value is JSON, as the CLI takes it.
type tuning struct {
	name, value string
	// limit marks the settings that take limits away, not costs.
	limit bool
}

// tunings gives the dynamic settings of the embedded engine, each with its reason.
// What they save was measured one by one against the engine without any of them;
// docs/performance.md has the figures. None of them gives up durability: every
// transaction is synced as before.
func tunings() []tuning {
	return []tuning{
		// It does not call home for newer versions.
		{name: "frontend.enableServerVersionCheck", value: "false", limit: true},
		// Its HTTP port can't be closed, and takes a POST that a web page sends across sites:
		// no host name is allowed there, so it answers nobody. All of ours speaks gRPC.
		{name: "frontend.httpAllowedHosts", value: `["nobody.invalid"]`, limit: true},
		// It is not limited per second as a cluster of many tenants must be; the disk is
		// what bounds it.
		{name: "frontend.rps", value: "100000", limit: true},
		{name: "frontend.namespaceRPS", value: "100000", limit: true},
		{name: "history.rps", value: "100000", limit: true},
		{name: "matching.rps", value: "100000", limit: true},

		// Visibility records are written by the batch, five times a second instead of
		// twenty: SQLite's one connection is free for starts meanwhile. The batch holds what
		// five polls a second must take at a full rate of 2,000 records a second.
		{name: "history.visibilityProcessorMaxPollRPS", value: "5"},
		{name: "history.visibilityTaskBatchSize", value: "400"},
		// The CLI has the dev server read the search attributes from the database in each
		// call that uses one. They can be cached: on SQL what is cached are the numbered
		// columns, which never change, and the namespace's names for them, which the
		// namespace's own cache holds in any case. Setup waits until a new name is known.
		{name: "system.forceSearchAttributesCacheRefreshOnRead", value: "false"},
		// The second that Temporal puts between two runs of one ID makes a dead letter and
		// its replay wait for it.
		{name: "history.workflowIdReuseMinimalInterval", value: `"1ms"`},
		// A run that was deleted leaves the list only when the transfer queue's position is
		// saved past its close: every 30 s by default, so replayed dead letters stay listed
		// for so long.
		{name: "history.transferProcessorUpdateAckInterval", value: `"200ms"`},
	}
}

// dynamicConfig gives the settings as the Temporal CLI takes them; of a stock
// engine only those that take limits away, without which a comparison with it
// would measure its limits.
func dynamicConfig(stock bool) []string {
	var settings []string
	for _, t := range tunings() {
		if t.limit || !stock {
			settings = append(settings, t.name+"="+t.value)
		}
	}
	return settings
}

// Finding is what can be seen from outside of one setting of a Temporal that runs
// elsewhere.
type Finding struct {
	// Setting is its name with the value that grapnel likes.
	Setting string `json:"setting"`
	// State is one of Set, Off and Unknown.
	State State `json:"state"`
	// Detail says what that costs, or why it can't be told.
	Detail string `json:"detail"`
}

// State is what is known of a setting.
type State string

// The states of a setting. Temporal shows its dynamic configuration to nobody, so
// that only its effects tell.
const (
	Set     State = "set"
	Off     State = "off"
	Unknown State = "can't tell"
)

// maxLookedAt bounds how many dead letters are looked at for the effects of settings.
const maxLookedAt = 20

// staleFor is how long a replayed dead letter may stay listed where the transfer
// queue's position is saved every 200 ms; 4 s were seen, 36 s without.
const staleFor = 10 * time.Second

// Tuning tells which settings that make events cheaper or replays quicker are off on
// a Temporal that runs elsewhere: by their effects on the newest dead letters, and by
// what it stores in. There is nothing to tell of the embedded engine, which has them
// all, nor of Temporal Cloud, which needs none.
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
			reuse.see(reuseOf(ctx, c, run))
		}
		if ack.State == Unknown {
			ack.see(ackOf(ctx, c, run))
		}
	}
	findings := []Finding{reuse, ack}
	info, err := c.WorkflowService().GetClusterInfo(ctx, &workflowservice.GetClusterInfoRequest{})
	if err == nil && info.GetPersistenceStore() == "sqlite" {
		findings = append(findings, Finding{
			"the embedded engine's settings for SQLite", Unknown,
			"This is a dev server: as the Temporal CLI starts it, an event costs it nearly twice what it costs the one that `grapnel up` runs.",
		})
	}
	return findings, nil
}

// see takes a state that was found, and its detail.
func (f *Finding) see(state State, detail string) {
	if state != Unknown {
		f.State, f.Detail = state, detail
	}
}

// reuseOf tells by the first event of a dead letter whether Temporal made it wait
// for a second since the run before it began. It shows only after a run that was
// shorter than that.
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

// ackOf tells by a dead letter that is listed and gone how long it has been so.
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
