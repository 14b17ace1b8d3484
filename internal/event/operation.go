package event

import "time"

// Filter says which dead letters are meant. What is empty says nothing. Source,
// type, subject, route and reason are patterns in which * stands for any text.
type Filter struct {
	IDs     []string `json:"ids,omitempty" doc:"event IDs"`
	Source  string   `json:"source,omitempty" doc:"name of the source; * stands for any text, here and below"`
	Type    string   `json:"type,omitempty" doc:"type of the event"`
	Subject string   `json:"subject,omitempty" doc:"what the event is about"`
	Route   string   `json:"route,omitempty" doc:"a route that is still to do"`
	Reason  string   `json:"reason,omitempty" doc:"why the event is dead, as the list groups it"`
	Error   string   `json:"error,omitempty" doc:"text that the error has in it"`
	// Since and Until bound when the last attempt failed.
	Since time.Time `json:"since,omitzero" doc:"last failed at this time or later"`
	Until time.Time `json:"until,omitzero" doc:"last failed before this time"`
	Limit int       `json:"limit,omitempty" minimum:"0" doc:"the most letters to take; 0 takes all"`
}

// Empty tells whether the filter means every dead letter.
func (f Filter) Empty() bool {
	return len(f.IDs) == 0 && f.Source == "" && f.Type == "" && f.Subject == "" && f.Route == "" && f.Reason == "" &&
		f.Error == "" && f.Since.IsZero() && f.Until.IsZero()
}

// Action is what an operation does to each of its dead letters.
type Action string

// The actions.
const (
	ActionReplay  Action = "replay"
	ActionDiscard Action = "discard"
	// ActionRenew puts a new run in the place of one that retention would end.
	ActionRenew Action = "renew"
)

// Operation is one act on many dead letters.
type Operation struct {
	ID     string `json:"id"`
	Action Action `json:"action"`
	Filter Filter `json:"filter"`
	// Rate is how many letters a second are begun; 0 is DefaultRate.
	Rate float64 `json:"rate"`
	// Share is the part of the last StopAfter results at which the operation stops
	// when they failed again; 0 is DefaultShare, 1 or more never stops.
	Share float64   `json:"share,omitempty"`
	At    time.Time `json:"at"`
	Deed
	// Body replaces the body of the only letter; nil leaves it.
	Body []byte `json:"body,omitempty"`
	// Keep and Within say what ActionRenew takes: what ended so long ago as Within,
	// unless it has been dead for longer than Keep; 0 keeps for ever.
	Keep   time.Duration `json:"keep,omitempty"`
	Within time.Duration `json:"within,omitempty"`
}

// What holds where an operation does not say otherwise.
const (
	DefaultRate  = 50.0
	DefaultShare = 0.5
	// StopAfter is how many of the latest results are looked at.
	StopAfter = 20
)

// Item is one dead letter of an operation's frozen set.
type Item struct {
	ID     string `json:"id"`
	Run    string `json:"run"`
	Reason string `json:"reason,omitempty"`
}

// Became is what became of an item.
type Became string

// The values of Became. Of a letter that was replayed it tells how the event
// ended, not that the replay was begun.
const (
	BecameNothing   Became = ""             // its turn has not come
	BecameStarted   Became = "started"      // replayed, and still being handled
	BecameHandled   Became = "handled"      // replayed, and every route is done
	BecameSame      Became = "failed_same"  // dead again for the same reason
	BecameOther     Became = "failed_other" // dead again for another reason
	BecameGone      Became = "gone"         // no dead letter any more when its turn came
	BecameDiscarded Became = "discarded"    // given up on
	BecameRenewed   Became = "renewed"      // put into a new run before retention ended the old one
	BecameEnded     Became = "ended"        // its replay was ended by hand
	BecameCancelled Became = "cancelled"    // the operation was cancelled before its turn
	BecameError     Became = "error"        // it could not be begun
)

// becameWords are the words for people, in the order in which people read them.
var becameWords = []struct {
	became Became
	words  string
}{
	{BecameHandled, "handled"},
	{BecameDiscarded, "discarded"},
	{BecameRenewed, "renewed"},
	{BecameSame, "failed again for the same reason"},
	{BecameOther, "failed for another reason"},
	{BecameStarted, "being handled"},
	{BecameGone, "no longer a dead letter"},
	{BecameEnded, "ended by hand"},
	{BecameCancelled, "cancelled"},
	{BecameError, "could not be begun"},
	{BecameNothing, "not begun"},
}

// EveryBecame lists the values of Became in the order in which people read them: what
// went well first, and what has not had its turn last.
func EveryBecame() []Became {
	all := make([]Became, 0, len(becameWords))
	for _, one := range becameWords {
		all = append(all, one.became)
	}
	return all
}

// Words says to people what became of an item: on the command line, on the page and in
// the documents. Programs read the value itself.
func (b Became) Words() string {
	for _, one := range becameWords {
		if one.became == b {
			return one.words
		}
	}
	return string(b) // of a newer version
}

// Final tells whether it stays so.
func (b Became) Final() bool { return b != BecameNothing && b != BecameStarted }

// Failed tells whether the event is dead again.
func (b Became) Failed() bool { return b == BecameSame || b == BecameOther || b == BecameError }

// ItemOutcome is what became of the item at an index of its page.
type ItemOutcome struct {
	Index  int    `json:"index"`
	Became Became `json:"became"`
	// Why says more where it did not go well.
	Why string    `json:"why,omitempty"`
	At  time.Time `json:"at,omitzero"`
	// By names the activity that has settled it after its batch. When the answer of that
	// activity is lost, its next attempt finds by it what it has to count.
	By string `json:"by,omitempty"`
}

// Phase is where an operation stands.
type Phase string

// The phases.
const (
	PhaseFreezing  Phase = "freezing" // its set is being written down
	PhaseRunning   Phase = "running"
	PhasePaused    Phase = "paused"
	PhaseStopped   Phase = "stopped"  // paused by itself: too many failed again
	PhaseSettling  Phase = "settling" // all are begun, some are still being handled
	PhaseDone      Phase = "done"
	PhaseCancelled Phase = "cancelled"
)

// Over tells whether the operation has ended.
func (p Phase) Over() bool { return p == PhaseDone || p == PhaseCancelled }

// Progress is where an operation stands, and what a run of it hands to the next.
type Progress struct {
	Phase Phase `json:"phase"`
	// Total is the size of the frozen set, Begun how many of it had their turn.
	Total int `json:"total"`
	Begun int `json:"begun"`
	// Counts are the items by what became of them.
	Counts map[Became]int `json:"counts,omitempty"`
	// Note says why it is stopped, paused or cancelled, and who did it.
	Note string `json:"note,omitempty"`

	// Pages is the number of pages of the set; Page and From are what is next.
	Pages int `json:"pages,omitempty"`
	Page  int `json:"page,omitempty"`
	From  int `json:"from,omitempty"`
	// Step is the rate that the ramp has reached, Recent the latest results.
	Step   float64 `json:"step,omitempty"`
	Recent string  `json:"recent,omitempty"`
	// Open are the pages with items that are still being handled.
	Open []int `json:"open,omitempty"`
}

// Work is one batch of an operation: the items of a page from an index on.
type Work struct {
	Operation Operation `json:"operation"`
	Page      int       `json:"page"`
	From      int       `json:"from"`
	Most      int       `json:"most"`
	Rate      float64   `json:"rate"`
	Recent    string    `json:"recent,omitempty"`
}

// Done is what a batch has come to.
type Done struct {
	// Next is the index of the first item that has not had its turn; Last is set
	// where the page has none any more.
	Next   int            `json:"next"`
	Last   bool           `json:"last,omitempty"`
	Counts map[Became]int `json:"counts,omitempty"`
	Recent string         `json:"recent,omitempty"`
	// Stopped is set where too many of the latest failed again.
	Stopped bool `json:"stopped,omitempty"`
}

// Control is what an operator tells an operation under way.
type Control struct {
	// Do is pause, resume or cancel.
	Do string `json:"do"`
	Deed
}

// The names of an operation's parts at Temporal.
const (
	// WorkflowOperation runs an operation, WorkflowPage keeps a page of its set.
	WorkflowOperation = "Operation"
	WorkflowPage      = "OperationPage"
	// SignalControl takes a Control, SignalOutcomes a list of ItemOutcome.
	SignalControl  = "control"
	SignalOutcomes = "outcomes"
	// QueryProgress gives the Progress.
	QueryProgress = "progress"
	// ActivityFreeze writes the set down, ActivityWork does a batch of it,
	// ActivitySettle looks again at what was still being handled, and
	// ActivityCancel notes what will have no turn.
	ActivityFreeze = "OperationFreeze"
	ActivityWork   = "OperationWork"
	ActivitySettle = "OperationSettle"
	ActivityCancel = "OperationCancel"
	// MemoOperation is the Operation, without its body.
	MemoOperation = "operation"
)

// Sweep asks the API of a sender again for events that it could not deliver.
type Sweep struct {
	// Name tells it from others.
	Name string `json:"name"`
	// Sender is whose API it is, as github; Of says which events, in the sender's
	// own words. Neither holds a secret: those are the worker's.
	Sender string            `json:"sender"`
	Of     map[string]string `json:"of"`
	// Back is how far back it looks.
	Back time.Duration `json:"back"`
}

// Swept is what a sweep has come to.
type Swept struct {
	// Failed is how many events no delivery has brought, Asked how many of them were
	// asked for again. The others were so a short while ago.
	Failed int `json:"failed"`
	Asked  int `json:"asked"`
}

// The names of a sweep's parts at Temporal.
const (
	// WorkflowSweep runs a sweep, ActivitySweep asks the sender.
	WorkflowSweep = "Sweep"
	ActivitySweep = "Sweep"
)
