package bench

import (
	"context"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"time"

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
	text, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/status")
	if pid == 0 || err != nil {
		return 0, 0
	}
	of := func(name string) (kilobytes int64) {
		_, rest, _ := strings.Cut(string(text), name+":")
		_, _ = fmt.Sscan(rest, &kilobytes)
		return kilobytes
	}
	return of("VmRSS") << 10, of("RssFile") << 10
}

// usage is what this process and an embedded engine have used so far.
type usage struct {
	here, engine    time.Duration
	written, writes int64
	syncs           int64 // Negative where they can't be counted.
}

func (b *bench) use(engine int) usage {
	u := usage{here: cpuTime(), engine: cpuTimeOf(engine), syncs: b.syncs[engine].count()}
	text, err := os.ReadFile("/proc/" + strconv.Itoa(engine) + "/io")
	if engine == 0 || err != nil {
		return u
	}
	for line := range strings.Lines(string(text)) {
		_, _ = fmt.Sscanf(line, "wchar: %d", &u.written)
		_, _ = fmt.Sscanf(line, "syscw: %d", &u.writes)
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
	text, err := os.ReadFile("/proc/stat")
	if err != nil {
		return 0, 0
	}
	line, _, _ := strings.Cut(string(text), "\n")
	for i, field := range strings.Fields(line) {
		n, err := strconv.ParseInt(field, 10, 64)
		if err != nil || i > 8 { // Guests are part of user and nice.
			continue
		}
		total += time.Duration(n) * procTick
		if i != 4 && i != 5 { // Idle, and waiting for a disk.
			busy += time.Duration(n) * procTick
		}
	}
	return busy, total
}

// procTick is the unit of proc(5), on every Linux.
const procTick = 10 * time.Millisecond

// cpuTimeOf is what another process has used, or zero where that can't be told.
func cpuTimeOf(pid int) time.Duration {
	text, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	// Utime and stime are the 14th and 15th; the 2nd is a name in brackets.
	_, rest, ok := strings.Cut(string(text), ") ")
	fields := strings.Fields(rest)
	if pid == 0 || err != nil || !ok || len(fields) < 13 {
		return 0
	}
	user, _ := strconv.ParseInt(fields[11], 10, 64)
	system, _ := strconv.ParseInt(fields[12], 10, 64)
	return time.Duration(user+system) * procTick
}

// cpuTime is what this process has used.
func cpuTime() time.Duration {
	var u syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &u) != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
