package config

import (
	"slices"
	"strings"
	"time"

	"github.com/grapnel/grapnel/internal/alert"
	"github.com/grapnel/grapnel/internal/destination"
)

// Alerts holds the limits past which there is an alert, and says who is told. A limit of 0
// switches its alert off.
type Alerts struct {
	// FailureShare is the share of the events of the last 15 minutes that may fail before there
	// is an alert. It counts where there were more than MinEvents events.
	FailureShare float64 `yaml:"failure_share"`
	// MinEvents is the number of events in 15 minutes above which FailureShare counts.
	MinEvents int `yaml:"min_events"`
	// DeadLetterGrowth is how many more dead letters there may be now than an hour ago.
	DeadLetterGrowth int `yaml:"dead_letter_growth"`
	// DeadLetterAge is how long a dead letter may wait.
	DeadLetterAge time.Duration `yaml:"dead_letter_age"`
	// Expiry is how long before Temporal deletes a dead letter there is an alert.
	Expiry time.Duration `yaml:"expiry"`
	// SpoolAge is how long an event may wait on disk.
	SpoolAge time.Duration `yaml:"spool_age"`
	// SpoolFull is the share of the spool that may be used.
	SpoolFull float64 `yaml:"spool_full"`
	// NoWorker is how long the task queue may be without a worker.
	NoWorker time.Duration `yaml:"no_worker"`
	// Usual is how many events a source must have sent in the same hour last week for an hour of
	// silence to be an alert.
	Usual int `yaml:"usual"`
	// Panics is how many panics of one handler in 15 minutes are an alert.
	Panics int `yaml:"panics"`
	// Page is the address of the operations page, for the links in alerts. The default is the
	// address of the admin listener.
	Page string `yaml:"page"`
	// Targets are told of every alert when it begins and when it ends.
	Targets map[string]*AlertTarget `yaml:"targets"`
}

// AlertTarget is an HTTP endpoint that is told of alerts.
type AlertTarget struct {
	// URL is the endpoint's address. It is treated as a secret, because the address of a chat is
	// one.
	URL Secret `yaml:"url"`
	// Format is json, slack or pagerduty.
	Format string `yaml:"format"`
	// Secrets are the keys that sign each message of the format json, as Standard Webhooks says.
	Secrets []Secret `yaml:"secrets"`
	// RoutingKey is the routing key that PagerDuty gave you.
	RoutingKey Secret `yaml:"routing_key"`
	// AllowPrivate names hosts, addresses and CIDRs to which alerts may be sent although they are
	// private.
	AllowPrivate []string `yaml:"allow_private"`
}

// SetDefaults sets the values of keys that the file does not give.
func (t *AlertTarget) SetDefaults() { t.Format = string(alert.FormatJSON) }

func defaultAlerts() Alerts {
	d := alert.Defaults()
	return Alerts{
		FailureShare: d.FailureShare, MinEvents: d.MinEvents, DeadLetterGrowth: d.DeadLetterGrowth, DeadLetterAge: d.DeadLetterAge,
		Expiry: d.Expiry, SpoolAge: d.SpoolAge, SpoolFull: d.SpoolFull, NoWorker: d.Poll, Usual: d.Usual, Panics: d.Panics,
	}
}

// Limits gives the limits in the form that the rules of package alert take.
func (a Alerts) Limits() alert.Limits {
	l := alert.Defaults()
	l.FailureShare, l.MinEvents, l.DeadLetterGrowth, l.DeadLetterAge = a.FailureShare, a.MinEvents, a.DeadLetterGrowth, a.DeadLetterAge
	l.Expiry, l.SpoolAge, l.SpoolFull, l.Poll, l.Usual, l.Panics = a.Expiry, a.SpoolAge, a.SpoolFull, a.NoWorker, a.Usual, a.Panics
	return l
}

// Spec gives the target as a destination that takes no events.
func (t *AlertTarget) Spec(name string) *destination.Spec {
	return &destination.Spec{
		Name: name, AllowPrivate: t.AllowPrivate,
		HTTP: &destination.HTTP{URL: t.URL, Secrets: t.Secrets, Timeout: destination.DefaultTimeout},
	}
}

// alerts checks the limits and targets.
func (c *Config) alerts() {
	r, a := c.read, &c.Alerts
	share := func(key string, v float64) {
		if v < 0 || v > 1 {
			r.fault("alerts."+key, "must be a part from 0 to 1, as 0.1; 0 switches the alert off")
		}
	}
	share("failure_share", a.FailureShare)
	share("spool_full", a.SpoolFull)
	for key, v := range map[string]int{
		"min_events": a.MinEvents, "dead_letter_growth": a.DeadLetterGrowth, "usual": a.Usual, "panics": a.Panics,
	} {
		if v < 0 {
			r.fault("alerts."+key, "must be a number of at least 0; 0 switches the alert off")
		}
	}
	for key, v := range map[string]time.Duration{
		"dead_letter_age": a.DeadLetterAge, "expiry": a.Expiry, "spool_age": a.SpoolAge, "no_worker": a.NoWorker,
	} {
		if v < 0 {
			r.fault("alerts."+key, "must be a time of at least 0; 0 switches the alert off")
		}
	}
	for name, t := range a.Targets {
		c.alertTarget(t, name)
	}
}

func (c *Config) alertTarget(t *AlertTarget, name string) {
	r, path := c.read, joinPath("alerts.targets", name)
	formats := []string{string(alert.FormatJSON), string(alert.FormatSlack), string(alert.FormatPagerDuty)}
	switch {
	case t == nil:
		r.fault(path, "says nothing; give it a url")
		return
	case !slices.Contains(formats, t.Format):
		r.fault(joinPath(path, "format"), "must be one of "+strings.Join(formats, ", "))
	case t.Format == string(alert.FormatPagerDuty) && !t.RoutingKey.IsSet():
		r.fault(joinPath(path, "routing_key"), "is missing; PagerDuty shows it as the integration key of the service")
	}
	if !t.URL.IsSet() {
		r.fault(joinPath(path, "url"), "is missing; give the address that is told of alerts")
		return
	}
	if r.broken(path) {
		return
	}
	d, err := destination.New(t.Spec(name), destination.Deps{})
	if err != nil {
		r.fault(path, err.Error())
		return
	}
	d.Close()
}
