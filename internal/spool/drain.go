package spool

import (
	"context"
	"errors"
	"time"

	"github.com/grapnel/grapnel/internal/pace"
)

// EntryOutcome says what became of an entry that was handed over: Taken, Again or Refuse.
type EntryOutcome struct {
	kind   outcomeKind
	reason string
}

type outcomeKind int

const (
	taken outcomeKind = iota
	again
	refuse
)

// Taken says that Temporal has the entry, from this hand-over or an earlier one. The spool forgets
// it.
func Taken() EntryOutcome { return EntryOutcome{kind: taken} }

// Again says that Temporal could not take the entry now. It stays in the queue, and the drain slows
// down.
func Again() EntryOutcome { return EntryOutcome{kind: again} }

// Refuse says that Temporal will never take the entry. It is set aside with the reason.
func Refuse(reason string) EntryOutcome { return EntryOutcome{kind: refuse, reason: reason} }

// handOverResult is one hand-over that has ended.
type handOverResult struct {
	entry   Entry
	outcome EntryOutcome
	round   int
	took    time.Duration
}

// Drain hands entries to Temporal by calling hand, oldest first, until the context is done. It
// learns how many calls at once Temporal takes easily: one more after a fast round, a tenth fewer
// after a slow one, half after a failed one. While Temporal is away it probes with a single entry.
// hand must be safe for concurrent use and should return when its context is done; its outcome
// still counts then. Drain returns when all calls of hand have returned; entries that were not
// taken are still in the queue. The error is nil when the context ended the drain, else ErrClosed.
func (s *Spool) Drain(ctx context.Context, hand func(context.Context, Entry) EntryOutcome, o pace.Options) error {
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

// leaseOffer is the result of a call of Next.
type leaseOffer struct {
	entries []Entry
	err     error
}

type drainer struct {
	*Spool
	hand     func(context.Context, Entry) EntryOutcome
	pace     *pace.Pace
	results  chan handOverResult
	offers   chan leaseOffer
	asking   bool // a call of Next is under way
	inFlight int
}

// step asks Next for entries if there is room, and waits for one thing: entries to start, a result
// to settle, the end of the pause, or the end of the context.
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
			d.Retry(e, 0) // The pace fell while Next waited.
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

// settle tells the queue and the pace of one outcome.
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

// finish waits for the calls of hand under way, and puts back entries that were leased and not
// handed over.
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
