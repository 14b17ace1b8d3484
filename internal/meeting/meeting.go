// Package meeting is the worked example: the ledger of one meeting, made from
// the facts that its events tell. It is pure. The workflow Meeting holds a
// ledger, handlers send it facts, and both know each other by the names here.
package meeting

import (
	"crypto/sha256"
	"encoding/hex"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// Example is the name by which a configuration asks for this example.
const Example = "meetings"

// The names by which handlers, workflow and command line find each other. None
// may hold a dot: the SDK's replay compares only what follows the last one.
const (
	// Workflow is the workflow type that holds the ledger of one meeting.
	Workflow = "Meeting"
	// Signal brings the workflow a Fact.
	Signal = "fact"
	// Query asks the workflow for its View.
	Query = "ledger"
	// ActivityLastLedger reads the ledger that an earlier run ended with.
	ActivityLastLedger = "LastLedger"
)

const (
	// Settle is how long a meeting that is over waits for facts that are still
	// on their way. It must be longer than one attempt of a handler, see
	// Start.Previous.
	Settle = time.Minute
	// Patience is how long a meeting waits after its last fact for an end that
	// may never be told.
	Patience = 24 * time.Hour
)

// Start is the argument of the workflow.
type Start struct {
	// Previous is the run of the same workflow ID that was the latest one just
	// before this start; empty when there was none. The new run goes on from
	// its ledger.
	Previous string `json:"previous,omitempty"`
	// Ledger is what a run that continued as new hands to the next one.
	Ledger Ledger `json:"ledger,omitzero"`
	// Settle and Patience replace the constants of the same name; 0 is those.
	Settle   time.Duration `json:"settle,omitempty"`
	Patience time.Duration `json:"patience,omitempty"`
}

// Run names one run of one meeting's workflow.
type Run struct {
	WorkflowID string `json:"workflowId"`
	RunID      string `json:"runId"`
}

// maxID is the longest meeting that a workflow ID spells out; Zoom's are 24
// characters. Temporal takes 1,000 bytes.
const maxID = 200

// WorkflowID is the workflow ID of a meeting instance. Zoom's UUIDs are base64
// and may hold "/", "+" and "=", all of which Temporal takes. What is too long
// or unprintable is replaced by its SHA-256.
func WorkflowID(meeting string) string {
	unprintable := func(r rune) bool { return !unicode.IsPrint(r) }
	if len(meeting) > maxID || !utf8.ValidString(meeting) || strings.ContainsFunc(meeting, unprintable) {
		sum := sha256.Sum256([]byte(meeting))
		meeting = hex.EncodeToString(sum[:])
	}
	return "meeting-" + meeting
}
