package spool

import (
	"context"
	"errors"
	"time"

	"github.com/grapnel/grapnel/internal/pace"
)

// Outcome says what became of an entry that was handed over; see Taken, Again and Refuse.
type Outcome struct {
	kind   outcomeKind
	reason string
}

type outcomeKind int

const (
	taken outcomeKind = iota
	again
	refuse
)

// Taken says that Temporal has the entry, now or since earlier: the spool forgets it.
func Taken() Outcome { return Outcome{kind: taken} }

// Again says that Temporal could not take the entry now: it stays, and the drain slows down.
func Again() Outcome { return Outcome{kind: again} }

// Refuse says that Temporal will never take the entry: it is set aside with the reason.
func Refuse(reason string) Outcome { return Outcome{kind: refuse, reason: reason} }

// handOverResult is one hand-over that has ended.
type handOverResult struct {
	entry   Entry
	outcome Outcome
	round   int
	took    time.Duration
}

// Drain hands entries over, oldest first, until the context is done. It learns how much at once
// Temporal takes easily (one more for each round that was fast, half for one that failed, a tenth
// less for one that was slow) and probes with a single entry while Temporal is away. hand must be
// safe for concurrent use and should give up when its context is done; whatever it says then still
// counts. Drain returns when all of them have returned; nothing is lost then, what was not taken is
// in the queue. The error is nil when the context ended it, or ErrClosed.
func (s *Spool) Drain(ctx context.Context, hand func(context.Context, Entry) Outcome, o pace.Options) error {
	d := &drainer{Spool: s, hand: hand, pace: pace.New(o), results: make(chan handOverResult), offers: make(chan leaseOffer, 1)}
	feed, stop := context.WithCancel(ctx)
	defer stop()
	for {
		if err := d.step(feed); err != nil {
			stop()
			d.finish()
			if ctx.Err() != nil {
				return nil
			}
			return err
		}
	}
}

// leaseOffer is what a call of Next brought.
type leaseOffer struct {
	entries []Entry
	err     error
}

type drainer struct {
	*Spool
	hand     func(context.Context, Entry) Outcome
	pace     *pace.Pace
	results  chan handOverResult
	offers   chan leaseOffer
	asking   bool // a call of Next is under way
	inFlight int
}

// step starts what may be started and waits for the next thing to happen.
func (d *drainer) step(ctx context.Context) error {
	room := d.pace.Room(time.Now(), d.inFlight)
	if room > 0 && !d.asking {
		d.asking = true
		go func() {
			entries, err := d.Next(ctx, room)
			d.offers <- leaseOffer{entries, err}
		}()
	}
	timer := time.NewTimer(d.pace.Pause(time.Now()))
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
	case r := <-d.results:
		d.settle(r)
	case got := <-d.offers:
		d.asking = false
		return d.start(ctx, got)
	}
	return nil
}

func (d *drainer) start(ctx context.Context, got leaseOffer) error {
	if got.err != nil {
		if errors.Is(got.err, ErrFailed) {
			d.pace.Failed(d.pace.Round(), time.Now())
			return nil
		}
		return got.err
	}
	for _, e := range got.entries {
		if d.pace.Room(time.Now(), d.inFlight) <= 0 {
			d.Retry(e, 0) // The pace changed while Next waited.
			continue
		}
		d.inFlight++
		round := d.pace.Round()
		go func() {
			begun := time.Now()
			outcome := d.hand(ctx, e)
			d.results <- handOverResult{entry: e, outcome: outcome, round: round, took: time.Since(begun)}
		}()
	}
	return nil
}

// settle does what the outcome asks for.
func (d *drainer) settle(r handOverResult) {
	full := d.inFlight >= d.pace.Limit()
	d.inFlight--
	switch r.outcome.kind {
	case taken:
		d.Done(r.entry)
		d.pace.Succeeded(r.round, r.took, full)
	case refuse:
		if err := d.SetAside(r.entry, r.outcome.reason); err != nil {
			d.Retry(r.entry, d.pace.Backoff(r.entry.Attempt))
			d.pace.Failed(r.round, time.Now())
			return
		}
		d.pace.Succeeded(r.round, r.took, full)
	case again:
		d.Retry(r.entry, d.pace.Backoff(r.entry.Attempt))
		d.pace.Failed(r.round, time.Now())
	}
}

// finish waits for what is under way and puts back what was only offered.
func (d *drainer) finish() {
	for d.inFlight > 0 {
		d.settle(<-d.results)
	}
	if d.asking {
		got := <-d.offers
		for _, e := range got.entries {
			d.Retry(e, 0)
		}
	}
}
