package bench

import (
	"runtime"
	"slices"
	"time"
)

// Report is everything that was measured. Rates are per second, times in
// nanoseconds, sizes in bytes.
type Report struct {
	Engine string    `json:"engine"`
	When   time.Time `json:"when"`
	System string    `json:"system"`
	CPUs   int       `json:"cpus"`
	Rounds int       `json:"rounds"`
	Events int       `json:"events"`
	// Bare is StartWorkflowExecution and nothing else.
	Bare Series `json:"bare"`
	// Textbook is a workflow with one ordinary activity, handled.
	Textbook Series `json:"textbook"`
	// Up is receiver and worker in one process, from the socket to handled.
	Up Series `json:"up"`
	// HTTP is the same with an HTTP destination in the place of a handler.
	HTTP Series `json:"http"`
	// Split is receiver and worker with a client each.
	Split Series `json:"split"`
	// Repeats counts events that were handled twice.
	Repeats int `json:"repeats"`
	// Calls to the engine and history events, for each event handled.
	UpCalls         float64 `json:"upCalls"`
	SplitCalls      float64 `json:"splitCalls"`
	TextbookCalls   float64 `json:"textbookCalls"`
	History         int64   `json:"history"`
	TextbookHistory int64   `json:"textbookHistory"`
	// CPU for each event of the rates. On a machine that is busy with other work it
	// says more than the rates themselves.
	BareCPU     CPU `json:"bareCPU"`
	TextbookCPU CPU `json:"textbookCPU"`
	UpCPU       CPU `json:"upCPU"`
	HTTPCPU     CPU `json:"httpCPU"`
	SplitCPU    CPU `json:"splitCPU"`
	// Others is the part of the machine's processors that neither this process nor the
	// engines used while the bench ran; negative where it can't be told.
	Others float64 `json:"others"`
	// Stages are where the time between socket and end goes at 50 events/s.
	Stages []Stage `json:"stages,omitempty"`
	// Latency is from the socket to the handler, at 50 events/s.
	Latency      Times   `json:"latency"`
	LatencyCalls float64 `json:"latencyCalls"`
	// Burst is what is accepted of many at once, with and without a spool.
	Burst        Burst `json:"burst"`
	BurstNoSpool Burst `json:"burstNoSpool"`
	// Replays is dead letters played again, until they are handled.
	Replays Series `json:"replays"`
	// Receiver is what a request costs with the Temporal call left out.
	Receiver Cost `json:"receiver"`
	// Plain is the same for a bare HTTP server of the same kind.
	Plain Cost `json:"plain"`
	// Hang is what the door does while the engine hangs.
	Hang *Hang `json:"hang,omitempty"`
	// Bytes on the engine's disk for each event, after it is handled; zero where
	// the engine is not our own.
	Bytes         int64 `json:"bytes,omitempty"`
	TextbookBytes int64 `json:"textbookBytes,omitempty"`
	// RSS is this process with its load generator, EngineRSS the engine.
	RSS       int64 `json:"rss,omitempty"`
	EngineRSS int64 `json:"engineRSS,omitempty"`
}

func newReport(o Options) *Report {
	return &Report{
		When: time.Now().UTC().Truncate(time.Second), Rounds: o.Rounds, Events: o.Events,
		System: runtime.GOOS + "/" + runtime.GOARCH + " " + runtime.Version(), CPUs: runtime.NumCPU(),
	}
}

// Series is one figure of every round.
type Series struct {
	Values []float64 `json:"values"`
	Median float64   `json:"median"`
}

func (s *Series) add(v float64) {
	s.Values = append(s.Values, v)
	sorted := slices.Sorted(slices.Values(s.Values))
	n := len(sorted)
	s.Median = (sorted[(n-1)/2] + sorted[n/2]) / 2
}

// Times are the spread of many times.
type Times struct {
	Count int           `json:"count"`
	P50   time.Duration `json:"p50"`
	P99   time.Duration `json:"p99"`
	Max   time.Duration `json:"max"`
}

func newTimes(all []time.Duration) Times {
	if len(all) == 0 {
		return Times{}
	}
	slices.Sort(all)
	at := func(part float64) time.Duration { return all[min(int(part*float64(len(all))), len(all)-1)] }
	return Times{Count: len(all), P50: at(0.5), P99: at(0.99), Max: all[len(all)-1]}
}

// Burst is many events at once.
type Burst struct {
	Accepted Series `json:"accepted"`
	// Answers are those of all rounds.
	Answers Times `json:"answers"`
	// Refused counts those that were answered 503.
	Refused int `json:"refused"`
	// Handled counts what was handled while the burst went on.
	Handled int `json:"handled"`

	answers []time.Duration
}

// Cost is what one request takes.
type Cost struct {
	Allocs float64       `json:"allocs"`
	Bytes  float64       `json:"bytes"`
	CPU    time.Duration `json:"cpu"`
}

// Hang is what happens while the engine is stopped, and after it goes on.
type Hang struct {
	Answers Times `json:"answers"`
	Refused int   `json:"refused"`
	// Recovered is the time from the engine's return until all was handled.
	Recovered time.Duration `json:"recovered"`
}

// Ratio is a series against another: the median of the ratios of each round where
// both have the same rounds, as a machine and an engine get slower over a run, else
// that of the medians. It is zero where there is nothing to divide by.
func (s Series) Ratio(to Series) float64 {
	if to.Median == 0 {
		return 0
	}
	if len(s.Values) != len(to.Values) || slices.Contains(to.Values, 0) {
		return s.Median / to.Median
	}
	var rounds Series
	for i, v := range s.Values {
		rounds.add(v / to.Values[i])
	}
	return rounds.Median
}

// CPU is what an event takes: Here is the processor time of this process, load
// generator included, Engine that of the engine where it is our own, both in
// nanoseconds; Written are the bytes that the engine writes, Writes how often.
type CPU struct {
	Here    Series `json:"here"`
	Engine  Series `json:"engine"`
	Written Series `json:"written"`
	Writes  Series `json:"writes"`
}

func (c *CPU) add(from, to use, events int) {
	n := float64(events)
	c.Here.add(float64(to.here-from.here) / n)
	c.Engine.add(float64(to.engine-from.engine) / n)
	c.Written.add(float64(to.written-from.written) / n)
	c.Writes.add(float64(to.writes-from.writes) / n)
}

// Stage is a part of the way of an event.
type Stage struct {
	Name  string `json:"name"`
	Times Times  `json:"times"`
}
