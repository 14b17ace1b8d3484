package app

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/pprof"
	"net/url"
	"sync/atomic"
	"time"

	"go.temporal.io/sdk/converter"

	"github.com/grapnel/grapnel/internal/admin"
	"github.com/grapnel/grapnel/internal/alert"
	"github.com/grapnel/grapnel/internal/deadletter"
	"github.com/grapnel/grapnel/internal/engine"
	"github.com/grapnel/grapnel/internal/program"
)

// admin makes the parts that operators use: the admin listener and the watch. The process reports
// that it is not ready once stopping is set.
func (p *process) admin(ctx context.Context, stopping *atomic.Bool, file *reloader, receiver net.Addr) ([]part, *admin.Server, error) {
	log := p.eventLog()
	watch, err := p.newWatch(file, log, time.Now)
	if err != nil {
		return nil, nil, err
	}
	ready := func(ctx context.Context) admin.Report {
		r := p.ready(ctx, stopping, file)
		if c := workerCheck(watch.polled(), p.env.TaskQueue, time.Now()); r.Checks["worker"].OK || r.Checks["worker"].Detail == "" {
			r.Checks["worker"] = c
		}
		return r
	}
	store := deadletter.New(p.client, p.settings.Namespace, p.env.TaskQueue)
	page, err := p.console(watch, log, store, processStatus{receiver, ready})
	if err != nil {
		return nil, nil, err
	}
	server, err := admin.New(ctx, admin.Options{
		Listen: p.env.AdminListen, Token: p.env.AdminToken.Reveal(), ReadToken: p.env.AdminReadToken.Reveal(),
		Hosts:      p.env.AdminHosts,
		Endpoints:  []admin.Endpoints{admin.DeadLetters{Store: store}, watchAPI{alerts: watch.alerts, events: log}, p.endpoints(file)},
		Metrics:    p.observer.metrics.Handler(),
		Stats:      func() any { return p.observer.stats.Health() },
		Ready:      ready,
		Page:       page,
		Rejections: p.observer.rejections,
		Codec:      p.codec(),
		Routes:     append(spoolRoutes(p.spool), p.profileRoutes()...),
		Log:        p.log,
	})
	if err != nil {
		return nil, nil, err
	}
	run := func(ctx context.Context) error {
		served := make(chan error, 1)
		go func() { served <- server.Serve() }()
		select {
		case err := <-served:
			return err
		case <-ctx.Done():
			return errors.Join(server.Shutdown(context.WithoutCancel(ctx)), <-served)
		}
	}
	return []part{watch.part(), {name: "admin", run: run}}, server, nil
}

// workerCheck tells whether a worker polls Temporal. It never makes a process unready: without a
// worker events are still accepted, and wait in Temporal.
func workerCheck(polled time.Time, queue string, now time.Time) admin.Check {
	if silent := now.Sub(polled); !polled.IsZero() && silent > alert.Defaults().Poll {
		return admin.Check{Detail: fmt.Sprintf(
			"no worker has asked for work on task queue %s for %s; events wait in Temporal until one does: start '%s'",
			queue, silent.Round(time.Second), program.Command("worker"))}
	}
	return admin.Check{OK: true}
}

// ready reports whether the process works. A receiver with a spool accepts events while Temporal is
// away, so it is ready as long as the spool takes events.
func (p *process) ready(ctx context.Context, stopping *atomic.Bool, file *reloader) admin.Report {
	r := admin.Report{
		Ready:    true,
		Temporal: admin.Temporal{Address: p.settings.Address, Namespace: p.settings.Namespace},
		Config:   file.report(),
		Shut:     p.shutParts(),
		Checks:   map[string]admin.Check{"process": {OK: true}, "temporal": {OK: true}},
	}
	if err := engine.Ready(ctx, p.client, p.settings.Namespace); err != nil {
		r.Ready, r.Checks["temporal"] = false, admin.Check{Detail: err.Error()}
	}
	if n, err := engine.Workers(ctx, p.client, p.settings.Namespace, p.env.TaskQueue); err == nil && n == 0 {
		// This does not make the process unready; see workerCheck.
		r.Checks["worker"] = admin.Check{Detail: "no worker polls task queue " + p.env.TaskQueue}
	} else if err == nil {
		r.Checks["worker"] = admin.Check{OK: true}
	}
	if p.spool != nil {
		stats := p.spool.Stats()
		takes := !stats.Failed && !stats.Full
		r.Spool, r.Checks["spool"] = stats, admin.Check{OK: takes, Detail: stats.Cause}
		r.Ready = r.Ready || takes
	}
	if stopping.Load() {
		r.Ready, r.Checks["process"] = false, admin.Check{Detail: "stopping"}
	}
	return r
}

// profileRoutes serve `go tool pprof`, if --pprof was given. The guard of the admin listener
// protects them too.
func (p *process) profileRoutes() []admin.Route {
	if !p.pprof {
		return nil
	}
	return []admin.Route{
		{Pattern: "GET /debug/pprof/", About: "Go's profiles: heap, goroutine, mutex and others", Handler: http.HandlerFunc(pprof.Index)},
		{Pattern: "GET /debug/pprof/profile", About: "a CPU profile; ?seconds=", Handler: http.HandlerFunc(pprof.Profile)},
		{Pattern: "GET /debug/pprof/trace", About: "an execution trace; ?seconds=", Handler: http.HandlerFunc(pprof.Trace)},
		{Pattern: "GET /debug/pprof/cmdline", About: "the command line", Handler: http.HandlerFunc(pprof.Cmdline)},
		{Pattern: "GET /debug/pprof/symbol", About: "the names of addresses", Handler: http.HandlerFunc(pprof.Symbol)},
	}
}

// codec makes the codec server, which decompresses payloads for the Web UI of the embedded engine
// and for the configured one.
func (p *process) codec() *admin.Codec {
	c := &admin.Codec{Handler: converter.NewPayloadCodecHTTPHandler(engine.NewCodec(int(p.config.CompressFrom)))}
	if p.engine != nil {
		c.Origins = append(c.Origins, p.engine.UI)
		// People open the UI as 127.0.0.1 or as localhost, and its origin is what they typed.
		if u, err := url.Parse(p.engine.UI); err == nil {
			c.Origins = append(c.Origins, "http://localhost:"+u.Port())
		}
	}
	if p.env.UIOrigin != "" {
		c.Origins = append(c.Origins, p.env.UIOrigin)
	}
	return c
}

// codecEndpoint is the URL of the codec server for a Web UI on this machine. It is empty if nothing
// is compressed, or if the port of the admin listener is not known yet.
func (p *process) codecEndpoint() string {
	_, port, err := net.SplitHostPort(p.env.AdminListen)
	if err != nil || port == "0" || p.config.CompressFrom == 0 {
		return ""
	}
	return "http://" + Dialable(p.env.AdminListen) + admin.CodecPath(p.env.AdminToken.Reveal())
}
