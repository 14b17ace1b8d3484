package admin

import "time"

// Report is what /readyz answers.
type Report struct {
	// Ready decides between 200 and 503.
	Ready bool `json:"ready"`
	// Checks are the parts that were looked at, by name.
	Checks map[string]Check `json:"checks,omitempty"`
	// Temporal is the cluster that is worked with.
	Temporal Temporal `json:"temporal"`
	// Config is the state of the configuration, where there is a file.
	Config *Config `json:"config,omitempty"`
	// Shut is what is kept from working; nil is nothing.
	Shut *Shut `json:"shut,omitempty"`
	// Spool is the state of the disk queue, where there is one.
	Spool any `json:"spool,omitempty"`
}

// Check is one part of a Report.
type Check struct {
	OK bool `json:"ok"`
	// Detail says what is wrong, or what was found.
	Detail string `json:"detail,omitempty"`
}

// Shut lists sources and destinations whose events wait.
type Shut struct {
	// Paused are those that somebody has paused, Open those whose circuit breaker is
	// open, a line each.
	Paused []string `json:"paused,omitempty"`
	Open   []string `json:"open,omitempty"`
}

// Temporal names a cluster.
type Temporal struct {
	Address   string `json:"address"`
	Namespace string `json:"namespace"`
}

// Config is the state of the configuration file.
type Config struct {
	// Fingerprint is a hash of the configuration in use.
	Fingerprint string `json:"fingerprint"`
	// Loaded is when it came into use.
	Loaded time.Time `json:"loaded,omitzero"`
	// LastFault is why the file as it is now was refused; empty when it was not.
	LastFault string `json:"lastFault,omitempty"`
	// FaultAt is when that was.
	FaultAt time.Time `json:"faultAt,omitzero"`
}
