package cluster_test

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// fault is one way to break the cluster, and how it ends. Where mend is nil the cluster recovers by
// itself.
type fault struct {
	name    string
	inflict func(c *cluster)
	mend    func(c *cluster)
}

// crash kills the process of a container as a machine that loses power would; Docker's restart
// policy brings it back.
func crash(service string) fault {
	return fault{name: "kill -9 " + service, inflict: func(c *cluster) {
		var pid int
		_, err := fmt.Sscan(c.docker("inspect", "--format", "{{.State.Pid}}", c.container(service)), &pid)
		require.NoError(c.t, err)
		require.NoError(c.t, syscall.Kill(pid, syscall.SIGKILL))
	}}
}

// freeze stops a container's processes where they are.
func freeze(service string) fault {
	return fault{
		name:    "pause " + service,
		inflict: func(c *cluster) { c.docker("pause", c.container(service)) },
		mend:    func(c *cluster) { c.docker("unpause", c.container(service)) },
	}
}

// stop ends a container the ordinary way.
func stop(service string) fault {
	return fault{
		name:    "stop " + service,
		inflict: func(c *cluster) { c.run("stop", service) },
		mend:    func(c *cluster) { c.run("start", service) },
	}
}

// cut drops every packet between two containers. A container that ends of it comes back with a
// network of its own, without the cut.
func cut(from, to string) fault {
	var pid, peer string
	rule := func(c *cluster, action string) {
		for _, way := range [][]string{{"INPUT", "--source"}, {"OUTPUT", "--destination"}} {
			out, err := c.command("nsenter", "--target", pid, "--net", "iptables", action, way[0], way[1], peer, "--jump", "DROP")
			require.NoError(c.t, err, out)
		}
	}
	process := func(c *cluster) string { return c.docker("inspect", "--format", "{{.State.Pid}}", c.container(from)) }
	return fault{
		name: fmt.Sprintf("cut %s from %s", from, to),
		inflict: func(c *cluster) {
			pid = process(c)
			peer = c.docker("inspect", "--format", "{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}", c.container(to))
			rule(c, "--insert")
		},
		mend: func(c *cluster) {
			if pid == process(c) {
				rule(c, "--delete")
			}
		},
	}
}

// fill leaves no room on the disk of a starter's spool while Temporal is away from it.
func fill(disk string) fault {
	away := cut("starter-2", "temporal")
	return fault{
		name: "fill the spool of starter-2",
		inflict: func(c *cluster) {
			away.inflict(c)
			zeros := make([]byte, 1<<20)
			f, err := os.Create(filepath.Join(disk, "filler"))
			require.NoError(c.t, err)
			for err == nil {
				_, err = f.Write(zeros)
			}
			require.ErrorIs(c.t, err, syscall.ENOSPC)
			require.NoError(c.t, f.Close())
		},
		mend: func(c *cluster) {
			require.NoError(c.t, os.Remove(filepath.Join(disk, "filler")))
			away.mend(c)
		},
	}
}

// faults are those that can be made on this machine.
func (c *cluster) faults() []fault {
	c.t.Helper()
	faults := []fault{
		freeze("worker-2"), freeze("starter-2"), freeze("temporal"), freeze("postgresql"), freeze("proxy"),
		stop("worker-1"), stop("starter-1"), stop("temporal"), stop("postgresql"), stop("proxy"),
	}
	if c.reachesContainers() {
		faults = append(faults,
			crash("worker-1"), crash("starter-1"), crash("temporal"), crash("postgresql"), crash("proxy"),
			cut("starter-1", "temporal"), cut("temporal", "postgresql"), cut("worker-1", "temporal"),
			cut("proxy", "starter-1"), cut("worker-1", "sink"))
	}
	return faults
}

// reachesContainers tells whether this machine's root can kill what runs in a container, and cut
// its network.
func (c *cluster) reachesContainers() bool {
	c.t.Helper()
	pid := c.docker("inspect", "--format", "{{.State.Pid}}", c.container("proxy"))
	out, err := c.command("nsenter", "--target", pid, "--net", "iptables", "--list")
	if err != nil {
		c.t.Log("SKIPPED: nothing is killed and no network is cut without root, nsenter and iptables:", err, out)
	}
	return err == nil
}

// smallDisk mounts a disk of 64 MiB for a spool, or says that this machine can't.
func smallDisk(t *testing.T) (dir string, ok bool) {
	t.Helper()
	c := &cluster{t: t, root: "."}
	dir, file := t.TempDir(), filepath.Join(t.TempDir(), "disk")
	require.NoError(t, os.WriteFile(file, nil, 0o600))
	require.NoError(t, os.Truncate(file, 64<<20))
	if out, err := c.command("mkfs.ext4", "-q", file); err != nil {
		t.Log("SKIPPED: no disk can be filled here:", err, out)
		return "", false
	}
	if out, err := c.command("mount", "-o", "loop", file, dir); err != nil {
		t.Log("SKIPPED: no disk can be filled here:", err, out)
		return "", false
	}
	t.Cleanup(func() { _, _ = c.command("umount", dir) })
	require.NoError(t, os.Chown(dir, 65532, 65532))
	return dir, true
}

// TestTheClusterHoldsWhileItBreaks breaks one thing after the other under load. Nothing that was
// acknowledged may be lost, nothing forged or stale handled, and senders never see a 4xx for
// trouble of ours. The report says how fast answers were meanwhile and how long recovery took; no
// limit is set on either, since machines differ.
func TestTheClusterHoldsWhileItBreaks(t *testing.T) {
	hold, err := time.ParseDuration(os.Getenv("CLUSTER_FAULT"))
	if err != nil {
		hold = 8 * time.Second
	}
	disk, canFill := smallDisk(t)
	if canFill {
		t.Setenv("CLUSTER_SPOOL", disk)
	}
	c := start(t)
	faults := c.faults()
	if canFill {
		faults = append(faults, fill(disk))
	}
	if only := os.Getenv("CLUSTER_FAULTS"); only != "" {
		wanted := regexp.MustCompile(only)
		faults = slices.DeleteFunc(faults, func(f fault) bool { return !wanted.MatchString(f.name) })
	}
	report := newReport(t, "cluster.txt")
	l := c.load()
	c.eventually("events are delivered", func() bool { return len(c.delivered("load")) > rate })
	l.count()
	report.line("Each fault lasts %s, under %d requests a second through the proxy, a tenth forged and a tenth stale.\n", hold, rate)
	report.line("%-32s %6s %6s %9s %11s %8s %7s %5s %s", "fault", "200", "5xx", "no answer", "after > 1 s", "slowest", "handled", "again", "all handled after")
	for i, f := range faults {
		// One more than the slowest so far needs, and the end of the test.
		if left := c.left(); left < 2*hold+6*time.Minute {
			report.line("SKIPPED for want of time, from %q on: %d of %d faults", f.name, len(faults)-i, len(faults))
			break
		}
		before := c.delivered("load")
		f.inflict(c)
		time.Sleep(hold) // The fault is meant to last.
		if f.mend != nil {
			f.mend(c)
		}
		mended := time.Now()
		c.recovered(l)
		took, n, after := time.Since(mended), l.count(), c.delivered("load")
		report.line("%-32s %6d %6d %9d %11d %8s %7d %5d %s", f.name, n.acked, n.failed, n.silent, n.late,
			n.slowest.Round(time.Millisecond), len(after)-len(before), repeats(after)-repeats(before), took.Round(time.Second))
	}
	l.stop()
	<-l.done
	c.account(l, report)
}

// report is a file that stays after the test, in the directory that CLUSTER_REPORT names.
type report struct {
	t              *testing.T
	file           *os.File
	handled, again int // when a line was written last
}

func newReport(t *testing.T, name string) *report {
	t.Helper()
	r := &report{t: t}
	if dir := os.Getenv("CLUSTER_REPORT"); dir != "" {
		require.NoError(t, os.MkdirAll(dir, 0o755))
		file, err := os.Create(filepath.Join(dir, name))
		require.NoError(t, err)
		t.Cleanup(func() { _ = file.Close() })
		r.file = file
	}
	return r
}

func (r *report) line(format string, args ...any) {
	r.t.Helper()
	r.t.Logf(format, args...)
	if r.file != nil {
		_, err := fmt.Fprintf(r.file, format+"\n", args...)
		require.NoError(r.t, err)
	}
}

// recovered waits until an event that is sent now is handled, and everything that was acknowledged
// before it. Nothing else is sent meanwhile, since a busy machine may handle less than comes in.
func (c *cluster) recovered(l *load) {
	c.t.Helper()
	c.eventually("events are taken again", func() bool {
		body, id := zoomEvent("load.sent", fmt.Sprintf("probe-%d", time.Now().UnixNano()))
		if s := send(c.t.Context(), body, secret, time.Now()); s.status != 200 {
			return false
		}
		l.mu.Lock()
		defer l.mu.Unlock()
		l.acked[id] = true
		return true
	})
	l.rest(true)
	defer l.rest(false)
	c.handled(l)
}

// handled waits until everything that was acknowledged is handled, for as long as there is
// progress.
func (c *cluster) handled(l *load) {
	c.t.Helper()
	for left := c.unhandled(l); left > 0; {
		before := left
		c.eventually("more of what was acknowledged is handled", func() bool {
			left = c.unhandled(l)
			return left < before
		})
	}
}

// unhandled counts what was acknowledged and has not come to the sink.
func (c *cluster) unhandled(l *load) int {
	c.t.Helper()
	got := c.delivered("load")
	l.mu.Lock()
	defer l.mu.Unlock()
	n := 0
	for id := range l.acked {
		if got[id] == 0 {
			n++
		}
	}
	return n
}

// account holds what the sink got against what was sent. The sink knows nothing of the load, nor
// the load of it.
func (c *cluster) account(l *load, report *report) {
	c.t.Helper()
	c.handled(l) // The last events were sent a moment ago.
	got := c.delivered("load")
	l.mu.Lock()
	defer l.mu.Unlock()
	var want []string
	for id := range l.acked {
		want = append(want, id)
	}
	for id := range got {
		require.True(c.t, l.acked[id] || l.unknown[id], "event %s was handled and never sent as genuine", id)
	}
	report.line("\n%d acknowledged, %d handled, %d delivered again after a fault, %d without an answer; %d forged and stale refused; answers: %v",
		len(want), len(got), repeats(got), len(l.unknown), l.refused, l.statuses)
	require.Empty(c.t, missing(want, got), "acknowledged and never handled")
	require.Empty(c.t, l.wrong)
}

// repeats counts the deliveries of events that had come before.
func repeats(got map[string]int) int {
	again := 0
	for _, n := range got {
		again += n - 1
	}
	return again
}

func missing(want []string, got map[string]int) []string {
	var out []string
	for _, id := range want {
		if got[id] == 0 {
			out = append(out, id)
		}
	}
	return out
}
