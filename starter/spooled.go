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

// Queued is the outcome of an event that is on our own disk.
const Queued Outcome = "queued"

// answerWithin is how long after a request's last byte the answer is due.
const answerWithin = time.Second

// leastForDisk is what a disk is given even when the engine has used up all the
// time.
const leastForDisk = 250 * time.Millisecond

// errNoSpool says that there is no disk to keep an event on.
var errNoSpool = errors.New("no spool: GRAPNEL_DATA_DIR is not set")

// keep keeps an event on disk until the engine takes it. cause is why the engine
// has not.
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

// engineAlone starts an event that there is no disk for.
func (s *Starter) engineAlone(in Incoming, budget time.Duration) (id string, o Outcome, err error) {
	ctx, cancel := context.WithTimeout(s.alive, budget)
	defer cancel()
	if id, o, err = s.engine.start(ctx, in); err != nil {
		err = errors.Join(err, errNoSpool)
	}
	return id, o, err
}

// Drain starts what the spool holds, oldest first, as fast as the engine takes
// it, until ctx is done.
func (s *Starter) Drain(ctx context.Context) error {
	if s.spool == nil {
		<-ctx.Done()
		return nil
	}
	if err := s.spool.Drain(ctx, s.drainOne, drainPace()); err != nil {
		return fmt.Errorf("drain the spool: %w", err)
	}
	return nil
}

// drainPace lets the drain take more at once than requests do: nobody waits for
// it, and an engine that commits many starts together does more of them a second.
func drainPace() pace.Options {
	return pace.Options{First: firstStarts, Fast: drainFast, LastBackoff: drainLastBackoff}
}

const (
	// drainFast is how long a start from the spool may take before there are fewer
	// at once.
	drainFast = 250 * time.Millisecond
	// drainLastBackoff is the longest pause in which an engine that is back is not
	// noticed.
	drainLastBackoff = 5 * time.Second
)

// drainTimeout is what one start from the spool may take.
const drainTimeout = 10 * time.Second

func (s *Starter) drainOne(ctx context.Context, entry spool.Entry) spool.Outcome {
	in := Incoming{Digest: entry.Digest, Body: entry.Body}
	if err := json.Unmarshal(entry.Meta, &in.Event); err != nil {
		return spool.Refuse("its attributes can't be read: " + err.Error())
	}
	ctx, cancel := context.WithTimeout(ctx, drainTimeout)
	defer cancel()
	s.awaitStart(ctx, in)
	id, outcome, err := s.engine.start(ctx, in)
	switch {
	case errors.Is(err, ErrRefused):
		s.log.Error("event set aside: Temporal refuses it for good", drained(in.Event, err)...)
		return spool.Refuse(err.Error())
	case err != nil:
		s.log.Debug("event stays in the spool", drained(in.Event, err)...)
		return spool.Again()
	}
	s.admission.back()
	in.Event.ID = id
	s.log.Info("event started from the spool", append(drained(in.Event, nil), zap.String("outcome", string(outcome)))...)
	return spool.Taken()
}

func drained(e event.Event, err error) []zap.Field {
	f := []zap.Field{
		zap.String("source", e.Source), zap.String("type", event.Attribute(e.Type)), zap.String("event", e.ID),
	}
	if err != nil {
		f = append(f, zap.Error(err))
	}
	return f
}
