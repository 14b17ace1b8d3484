package deadletter

import (
	"context"
	"errors"
	"fmt"
	"time"

	enumspb "go.temporal.io/api/enums/v1"

	"github.com/grapnel/grapnel/internal/event"
)

// Export calls each with every dead letter that matches the filter, read in full, and returns its
// first error. Letters that are replayed meanwhile are left out. If there are more than MostListed,
// Export returns an error after that many.
func (s *Store) Export(ctx context.Context, f event.Filter, each func(Full) error) error {
	listing, err := s.List(ctx, f)
	if err != nil {
		return err
	}
	for _, l := range listing.Letters {
		full, err := s.Get(ctx, l.ID)
		if errors.Is(err, ErrGone) {
			continue
		}
		if err != nil {
			return err
		}
		if err := each(full); err != nil {
			return err
		}
	}
	if listing.Cut && f.Limit == 0 {
		return fmt.Errorf("there are more dead letters than the %d that can be listed at once; export them by filters", MostListed)
	}
	return nil
}

// Import starts an exported dead letter in this namespace. The error wraps ErrTooLate if the
// namespace knows the event already.
func (s *Store) Import(ctx context.Context, l Full, deed event.Deed) error {
	if err := l.check(); err != nil {
		return err
	}
	letter := l.Letter
	letter.Form = event.LetterForm
	letter.Instead = &event.Instead{Why: "imported by " + deed.Actor}
	next := successor{
		kind: event.DeadLetter, args: successorArguments(l, letter, l.Corrected), deed: deed,
		reuse: enumspb.WORKFLOW_ID_REUSE_POLICY_REJECT_DUPLICATE,
		memo:  map[string]any{event.MemoSummary: l.Event.Summary(), event.MemoDeed: deed},
	}
	if l.Digest != "" {
		next.memo[event.MemoDigest] = l.Digest
	}
	_, err := s.start(ctx, l.Event, next)
	return err
}

// check refuses a letter that Export can't have written.
func (l Full) check() error {
	switch {
	case len(l.Event.ID) != idLength || l.Event.Source == "":
		return errors.New("it has no event, or one without ID or source")
	case len(l.Letter.Failures) == 0:
		return errors.New("it has no failure, so nothing is left to do")
	case l.Discard != nil:
		return errors.New("it was discarded")
	}
	return nil
}

// Age is how long an event has been dead: since its first failure, or where that is not known since
// the end of the run.
func (s Summary) Age(now time.Time) time.Duration {
	since := s.First
	if since.IsZero() {
		since = s.Died
	}
	return now.Sub(since)
}
