package app

import (
	"context"
	"errors"
	"os"
	"os/signal"
	"sync"
	"syscall"
	"time"

	"go.uber.org/zap"

	"github.com/grapnel/grapnel/internal/admin"
	"github.com/grapnel/grapnel/internal/config"
)

// reloader puts the configuration file into force when it changes. A file with a fault is refused
// as a whole, and the configuration before it stays in force.
type reloader struct {
	path   string
	lookup func(string) (string, bool)
	log    *zap.Logger
	// apply puts a configuration into force, or returns an error and changes nothing.
	apply func(*config.Config) error
	now   func() time.Time

	// first is the configuration that the process began with, current the one in force.
	first, current *config.Config
	// seen is the file as it was last read, judged as it was last put into force or refused.
	seen, judged fileContent

	mu    sync.Mutex
	state admin.Config
}

// fileContent is the text of the file, or why it can't be read.
type fileContent struct{ text, err string }

func newReloader(p *process, apply func(*config.Config) error) *reloader {
	r := &reloader{
		path: p.env.Config, lookup: p.world.Lookup, log: p.log, apply: apply, now: time.Now,
		first: p.config, current: p.config,
	}
	r.loaded()
	return r
}

// lookEvery is the interval at which the file is read.
const lookEvery = time.Second

// part makes the part that watches the file until the process ends.
func (r *reloader) part() part {
	// Catch the signal from now on, before the part runs: uncaught, it ends the process.
	hup := make(chan os.Signal, 1)
	signal.Notify(hup, syscall.SIGHUP)
	return part{name: "configuration", run: func(ctx context.Context) error {
		defer signal.Stop(hup)
		tick := time.NewTicker(lookEvery)
		defer tick.Stop()
		for {
			select {
			case <-ctx.Done():
				return nil
			case <-tick.C:
				r.look()
			case <-hup:
				r.reload()
			}
		}
	}}
}

// look puts the file into force if it has changed and was the same at two looks in a row, because
// editors and copies write a file in more than one step. It compares the text, because Kubernetes
// changes a file by turning a link, which neither the name nor the time of the file shows.
func (r *reloader) look() {
	s := r.read()
	settled := s == r.seen
	r.seen = s
	if settled && s != r.judged {
		r.judge(s, false)
	}
}

// reload puts the file into force at once, even if it has not changed, because files of secrets
// that it names may have.
func (r *reloader) reload() {
	r.log.Info("SIGHUP: the configuration is read again")
	r.seen = r.read()
	r.judge(r.seen, true)
}

func (r *reloader) read() fileContent {
	text, err := os.ReadFile(r.path)
	if err != nil {
		return fileContent{err: err.Error()}
	}
	return fileContent{text: string(text)}
}

// judge puts a file into force or refuses it. If it says what is in force already, it is applied
// again only if always is set.
func (r *reloader) judge(s fileContent, always bool) {
	r.judged = s
	if s.err != "" {
		r.refuse(errors.New(s.err))
		return
	}
	c, err := config.Parse(r.path, []byte(s.text), r.lookup)
	switch {
	case err != nil:
		r.refuse(err)
		return
	case !always && c.Fingerprint() == r.current.Fingerprint():
		r.clearFault()
		return
	}
	if err := r.apply(c); err != nil {
		r.refuse(err)
		return
	}
	for _, w := range c.Warnings(r.now()) {
		r.log.Warn(w.String())
	}
	if names := needRestart(r.first, c); len(names) > 0 {
		r.log.Warn("some settings have changed that count only after a restart", zap.Strings("settings", names))
	}
	r.mu.Lock()
	r.current = c
	r.mu.Unlock()
	r.loaded()
	r.log.Info("the configuration is in force", zap.String("file", r.path), zap.String("fingerprint", c.Fingerprint()))
}

func (r *reloader) refuse(err error) {
	r.log.Error("the configuration is refused; the one before stays in force", zap.String("file", r.path), zap.Error(err))
	r.mu.Lock()
	defer r.mu.Unlock()
	r.state.LastFault, r.state.FaultAt = err.Error(), r.now().UTC()
}

// clearFault notes that the file is good again and says what is in force.
func (r *reloader) clearFault() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.state.LastFault, r.state.FaultAt = "", time.Time{}
}

func (r *reloader) loaded() {
	fingerprint := r.current.Fingerprint()
	r.mu.Lock()
	defer r.mu.Unlock()
	r.state = admin.Config{Fingerprint: fingerprint, Loaded: r.now().UTC()}
}

// inForce returns the configuration in force.
func (r *reloader) inForce() *config.Config {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.current
}

// report returns the configuration's state for /readyz.
func (r *reloader) report() *admin.Config {
	r.mu.Lock()
	defer r.mu.Unlock()
	state := r.state
	return &state
}

// needRestart names the settings that differ from those at the start and need a restart to take
// effect.
func needRestart(began, now *config.Config) []string {
	var names []string
	add := func(name string, differ bool) {
		if differ {
			names = append(names, name)
		}
	}
	add("timeouts", began.Timeouts != now.Timeouts)
	add("tls", (began.TLS == nil) != (now.TLS == nil) || began.TLS != nil && *began.TLS != *now.TLS)
	add("engine", began.Engine != now.Engine)
	add("max_inflight", began.MaxInflight != now.MaxInflight)
	add("rate_store", began.RateStore.Reveal() != now.RateStore.Reveal())
	add("retention", began.Retention != now.Retention)
	add("compress_from", began.CompressFrom != now.CompressFrom)
	add("spool", began.Spool != now.Spool)
	return names
}
