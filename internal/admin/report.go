package admin

import "time"

// Report is the answer of /readyz.
type Report struct {
	// Ready decides between 200 and 503.
	Ready bool `json:"ready"`
	// Checks are the results of the checks, by the name of the part.
	Checks map[string]Check `json:"checks,omitempty"`
	// Temporal is the Temporal that the process uses.
	Temporal Temporal `json:"temporal"`
	// Config is the state of the configuration.
	Config *Config `json:"config,omitempty"`
	// Shut lists what is paused or gets no events; nil if there is nothing.
	Shut *Shut `json:"shut,omitempty"`
	// Spool is the state of the disk queue, if there is one.
	Spool any `json:"spool,omitempty"`
}

// Check is one part of a Report.
type Check struct {
	OK bool `json:"ok"`
	// Detail says what is wrong, or what was found.
	Detail string `json:"detail,omitempty"`
}

// Shut lists the sources and destinations whose events wait.
type Shut struct {
	// Paused are the paused ones, Open the destinations whose circuit breaker is open, each as a
	// line of text.
	Paused []string `json:"paused,omitempty"`
	Open   []string `json:"open,omitempty"`
}

// Temporal says where Temporal is, and which namespace is used.
type Temporal struct {
	Address   string `json:"address"`
	Namespace string `json:"namespace"`
}

// Config is the state of the configuration file.
type Config struct {
	// Fingerprint is a hash of the configuration in use.
	Fingerprint string `json:"fingerprint"`
	// Loaded is when that configuration came into use.
	Loaded time.Time `json:"loaded,omitzero"`
	// LastFault is why the present file was refused; empty if it was not.
	LastFault string `json:"lastFault,omitempty"`
	// FaultAt is when it was refused.
	FaultAt time.Time `json:"faultAt,omitzero"`
}
