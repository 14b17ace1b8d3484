package event

import "time"

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
