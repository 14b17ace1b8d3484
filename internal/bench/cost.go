package bench

import (
	"context"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"time"

	"github.com/prometheus/procfs"
	"github.com/valyala/fasthttp"
)

// receiver measures what a request costs the receiver alone. The load generator
// runs in this process too, so a bare HTTP server is measured beside it.
func (b *bench) receiver(ctx context.Context) error {
	run, err := b.Plant.Start(ctx, Setup{Queue: b.queue("receiver"), Idle: true})
	if err != nil {
		return err
	}
	defer run.Stop()
	if b.report.Receiver, err = b.cost(ctx, run.Addr); err != nil {
		return err
	}
	l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return fmt.Errorf("listen: %w", err)
	}
	answer := []byte(`{"success":true,"eventId":"` + strings.Repeat("0", 64) + `"}`)
	plain := &fasthttp.Server{Handler: func(c *fasthttp.RequestCtx) {
		c.SetContentType("application/json")
		c.SetBody(answer)
	}}
	served := make(chan error, 1)
	go func() { served <- plain.Serve(l) }()
	b.report.Plain, err = b.cost(ctx, l.Addr().String())
	if err != nil {
		return err
	}
	if err := plain.ShutdownWithContext(ctx); err != nil {
		return fmt.Errorf("stop the bare HTTP server: %w", err)
	}
	return <-served
}

// cost is what each of many requests adds to this process.
func (b *bench) cost(ctx context.Context, addr string) (Cost, error) {
	if _, err := send(ctx, addr, newBatch(200, b.Secret), connections, 0); err != nil { // to warm up
		return Cost{}, err
	}
	events := newBatch(b.Events*burstFactor, b.Secret)
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	cpu := cpuTime()
	if _, err := send(ctx, addr, events, connections, 0); err != nil {
		return Cost{}, err
	}
	cpu = cpuTime() - cpu
	runtime.ReadMemStats(&after)
	n := float64(len(events.requests))
	return Cost{
		Allocs: float64(after.Mallocs-before.Mallocs) / n,
		Bytes:  float64(after.TotalAlloc-before.TotalAlloc) / n,
		CPU:    cpu / time.Duration(len(events.requests)),
	}, nil
}

// bytes measures how much the files of the embedded engine grow with each event, SQLite's
// write-ahead log included.
func (b *bench) bytes(ctx context.Context) error {
	if b.EngineDir == "" {
		return nil
	}
	grown := func(run func(context.Context) (float64, error), n int) (int64, error) {
		before := databaseSize(b.EngineDir)
		if _, err := run(ctx); err != nil {
			return 0, err
		}
		return (databaseSize(b.EngineDir) - before) / int64(n), nil
	}
	var err error
	b.report.Bytes, err = grown(func(ctx context.Context) (float64, error) { return b.handled(ctx, false) }, b.Events)
	if err != nil {
		return err
	}
	b.report.TextbookBytes, err = grown(b.textbook, max(b.Events/2, 1))
	return err
}

// databaseSize is that of the database under a directory.
func databaseSize(dir string) (total int64) {
	_ = filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !strings.Contains(filepath.Base(path), ".db") {
			return nil
		}
		if info, err := d.Info(); err == nil {
			total += info.Size()
		}
		return nil
	})
	return total
}

// memory is what a process has in memory, in bytes, and what of it are parts of its program's
// file, which the system reads again when it needs the room; zero where that can't be told.
func memory(pid int) (all, program int64) {
	p, err := procfs.NewProc(pid)
	if err != nil {
		return 0, 0
	}
	status, err := p.NewStatus()
	if err != nil {
		return 0, 0
	}
	return int64(status.VmRSS), int64(status.RssFile) //nolint:gosec // Memory has fewer bytes than that.
}

// usage is what this process and an embedded engine have used so far.
type usage struct {
	here, engine    time.Duration
	written, writes int64
	syncs           int64 // Negative where they can't be counted.
}

func (b *bench) use(engine int) usage {
	u := usage{here: cpuTime(), engine: cpuTimeOf(engine), syncs: b.syncs[engine].count()}
	p, err := procfs.NewProc(engine)
	if err != nil {
		return u
	}
	if io, err := p.IO(); err == nil {
		u.written, u.writes = int64(io.WChar), int64(io.SyscW) //nolint:gosec // Counts.
	}
	return u
}

// machine is what the processors had done when the bench began.
type machine struct {
	pids        []int
	busy, total time.Duration
	ours        time.Duration
}

func newMachine(o Options) *machine {
	m := &machine{pids: []int{os.Getpid(), o.EnginePID, o.StockPID}}
	m.busy, m.total = processors()
	m.ours = m.used()
	return m
}

func (m *machine) used() (sum time.Duration) {
	for _, pid := range m.pids {
		sum += cpuTimeOf(pid)
	}
	return sum
}

// others is the part of the processors that neither this process nor the embedded engines used.
func (m *machine) others() float64 {
	busy, total := processors()
	if total <= m.total {
		return -1
	}
	return max(0, float64(busy-m.busy-(m.used()-m.ours))/float64(total-m.total))
}

// processors gives how long all of them were busy, and how long there was.
func processors() (busy, total time.Duration) {
	fs, err := procfs.NewDefaultFS()
	if err != nil {
		return 0, 0
	}
	stat, err := fs.Stat()
	if err != nil {
		return 0, 0
	}
	all := stat.CPUTotal // Guests are part of user and nice.
	used := all.User + all.Nice + all.System + all.IRQ + all.SoftIRQ + all.Steal
	return seconds(used), seconds(used + all.Idle + all.Iowait)
}

func seconds(s float64) time.Duration { return time.Duration(s * float64(time.Second)) }

// cpuTimeOf is what another process has used, or zero where that can't be told.
func cpuTimeOf(pid int) time.Duration {
	p, err := procfs.NewProc(pid)
	if err != nil {
		return 0
	}
	stat, err := p.Stat()
	if err != nil {
		return 0
	}
	return seconds(stat.CPUTime())
}

// cpuTime is what this process has used.
func cpuTime() time.Duration {
	var u syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &u) != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
