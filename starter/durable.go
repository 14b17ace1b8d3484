package starter

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"go.uber.org/zap"

	"github.com/grapnel/grapnel/internal/event"
	"github.com/grapnel/grapnel/internal/pace"
	"github.com/grapnel/grapnel/internal/spool"
)

// This file makes events durable: Temporal has started an event's workflow, or the
// spool has the event on disk and its drain starts it later.

const (
	// answerWithin is how long after a request's last byte the answer is due.
	answerWithin = time.Second
	// leastForDisk is the time that a write to the spool is given, even when
	// Temporal has used up the rest.
	leastForDisk = 250 * time.Millisecond
	// hedgeAfter is how long Temporal alone is waited for. After that the event is also written
	// to the spool, and the sender is answered as soon as either has it. If both have it,
	// Temporal refuses the drain's start as that of an event that it knows.
	hedgeAfter = 100 * time.Millisecond
	// startTimeout ends a start for which no request waits any more. Such a start goes on after
	// the ack budget, because Temporal may have taken the event and be about to answer, and its
	// answer brings the workflow's first task. If the call were given up, that task would be
	// lost, and the event would be handled only after the task has timed out, which takes
	// Temporal this long.
	startTimeout = 10 * time.Second
)

var (
	// errBusy says that as many starts are under way as Temporal takes easily, or that its latest
	// answer failed or came late.
	errBusy = errors.New("Temporal is busy or away")
	// errSlow says that Temporal has not answered within the ack budget.
	errSlow = errors.New("Temporal has not answered in time")
	// errNoSpool says that there is no disk to keep an event on.
	errNoSpool = errors.New("no spool: GRAPNEL_DATA_DIR is not set")
)

// makeDurable starts an event's workflow or keeps the event on disk. whole is the time at which
// the request had been read to its end. It gives the ID under which the event is known.
func (s *Starter) makeDurable(in Incoming, budget time.Duration, whole time.Time) (id string, o Acceptance, err error) {
	if s.spool == nil {
		return s.startOnly(in, budget)
	}
	visit, ok := s.admission.enter()
	if !ok {
		if err = s.keep(in, whole, errBusy); err == nil {
			return in.Event.ID, Queued, nil
		}
		if visit, ok = s.admission.squeeze(); !ok {
			return in.Event.ID, "", err
		}
	}
	begun := s.begin(in, visit.leave)
	timer := time.NewTimer(min(hedgeAfter, budget))
	defer timer.Stop()
	select {
	case a := <-begun:
		if a.err != nil {
			return in.Event.ID, Queued, s.keep(in, whole, a.err)
		}
		return a.id, a.outcome, nil
	case <-timer.C:
	}
	rest := time.NewTimer(budget - hedgeAfter)
	defer rest.Stop()
	if budget <= hedgeAfter {
		visit.late()
	} else {
		time.AfterFunc(budget-hedgeAfter, visit.late)
	}
	return s.hedge(in, whole, begun, rest.C)
}

// hedge writes an event whose start takes long to the spool as well, and returns as soon as
// Temporal or the disk has it. If the disk fails, Temporal has the rest of the budget.
func (s *Starter) hedge(in Incoming, whole time.Time, begun <-chan attempt, over <-chan time.Time) (id string, o Acceptance, err error) {
	kept := make(chan error, 1)
	go func() { kept <- s.keep(in, whole, errSlow) }()
	select {
	case a := <-begun:
		if a.err != nil {
			return in.Event.ID, Queued, <-kept
		}
		return a.id, a.outcome, nil
	case err = <-kept:
	}
	if err == nil {
		return in.Event.ID, Queued, nil
	}
	select {
	case a := <-begun:
		if a.err != nil {
			return in.Event.ID, Queued, errors.Join(a.err, err)
		}
		return a.id, a.outcome, nil
	case <-over:
		return in.Event.ID, Queued, err
	}
}

// startOnly starts an event where there is no spool.
func (s *Starter) startOnly(in Incoming, budget time.Duration) (id string, o Acceptance, err error) {
	ctx, cancel := context.WithTimeout(s.alive, budget)
	defer cancel()
	if id, o, err = s.intake.start(ctx, in); err != nil {
		err = errors.Join(err, errNoSpool)
	}
	return id, o, err
}

// attempt is how a start has ended.
type attempt struct {
	id      string
	outcome Acceptance
	err     error
}

// begin starts an event in the background. The start goes on after the request that began it has
// been answered. leave is told how it ended.
func (s *Starter) begin(in Incoming, leave func(failure error)) <-chan attempt {
	done, ended := make(chan attempt, 1), make(chan struct{})
	s.underWay.Store(in.name(), ended)
	go func() {
		defer close(ended)
		defer s.underWay.CompareAndDelete(in.name(), ended)
		ctx, cancel := context.WithTimeout(s.alive, startTimeout)
		defer cancel()
		var a attempt
		a.id, a.outcome, a.err = s.intake.start(ctx, in)
		if errors.Is(a.err, ErrRefused) {
			leave(nil)
		} else {
			leave(a.err)
		}
		done <- a
	}()
	return done
}

// awaitStart waits until no request is starting this event any more. The drain calls it so that
// an event which has also gone to disk is not started twice at the same time.
func (s *Starter) awaitStart(ctx context.Context, in Incoming) {
	ended, ok := s.underWay.Load(in.name())
	if !ok {
		return
	}
	select {
	case <-ended.(chan struct{}): //nolint:forcetypeassert // The map holds nothing else.
	case <-ctx.Done():
	}
}

// name tells an event from all others, even from those that share its ID.
func (in *Incoming) name() string { return in.Event.ID + in.Digest }

// keep puts an event into the spool. cause says why Temporal has not taken it.
func (s *Starter) keep(in Incoming, whole time.Time, cause error) error {
	meta, err := json.Marshal(in.Event)
	if err != nil {
		return fmt.Errorf("encode event %s: %w", in.Event.ID, err)
	}
	ctx, cancel := context.WithTimeout(s.alive, max(answerWithin-s.now().Sub(whole), leastForDisk))
	defer cancel()
	err = s.spool.Put(ctx, spool.Entry{
		Key: in.Event.ID, Digest: in.Digest, Received: in.Event.Received, Meta: meta, Body: in.Body,
	})
	if err != nil {
		return errors.Join(cause, fmt.Errorf("spool: %w", err))
	}
	return nil
}

// Drain starts the events that the spool holds, the oldest first, as fast as Temporal takes them,
// until ctx is done.
func (s *Starter) Drain(ctx context.Context) error {
	if s.spool == nil {
		<-ctx.Done()
		return nil
	}
	// The drain may have more starts under way than requests may: no sender waits for them, and
	// Temporal's store commits many of them together.
	p := pace.Options{First: firstStarts, Fast: drainFast, LastBackoff: lastBackoff}
	if err := s.spool.Drain(ctx, s.drainOne, p); err != nil {
		return fmt.Errorf("drain the spool: %w", err)
	}
	return nil
}

// drainFast is how long a start from the spool may take; when starts take longer, the drain has
// fewer of them under way.
const drainFast = 250 * time.Millisecond

func (s *Starter) drainOne(ctx context.Context, entry spool.Entry) spool.EntryOutcome {
	in := Incoming{Digest: entry.Digest, Body: entry.Body}
	if err := json.Unmarshal(entry.Meta, &in.Event); err != nil {
		return spool.Refuse("its attributes can't be read: " + err.Error())
	}
	if d := s.table.Load().doors[in.Event.Source]; d != nil {
		in.Again = d.profile.Again
	}
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	s.awaitStart(ctx, in)
	id, outcome, err := s.intake.start(ctx, in)
	switch {
	case errors.Is(err, ErrRefused):
		s.log.Error("event set aside: Temporal refuses it for good", drainFields(in.Event, err)...)
		return spool.Refuse(err.Error())
	case err != nil:
		s.log.Debug("event stays in the spool", drainFields(in.Event, err)...)
		return spool.Again()
	}
	s.admission.back()
	in.Event.ID = id
	s.log.Info("event started from the spool", append(drainFields(in.Event, nil), zap.String("outcome", string(outcome)))...)
	return spool.Taken()
}

func drainFields(e event.Event, err error) []zap.Field {
	f := []zap.Field{
		zap.String("source", e.Source), zap.String("type", event.Attribute(e.Type)), zap.String("event", e.ID),
	}
	if err != nil {
		f = append(f, zap.Error(err))
	}
	return f
}
