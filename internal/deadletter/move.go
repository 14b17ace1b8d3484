package deadletter

import (
	"context"
	"errors"
	"fmt"
	"time"

	enumspb "go.temporal.io/api/enums/v1"

	"github.com/grapnel/grapnel/internal/event"
)

// Export gives each dead letter that the filter means, with all of it. What is
// replayed while it goes on is left out.
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

// Import makes an exported dead letter one of this namespace. ErrTooLate says that
// the event is known here.
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

// check refuses what no export has written.
func (l Full) check() error {
	switch {
	case len(l.Event.ID) != idLength || l.Event.Source == "":
		return errors.New("it has no event with ID and source")
	case len(l.Letter.Failures) == 0:
		return errors.New("it has no failure, so nothing is left to do")
	case l.Discard != nil:
		return errors.New("it was discarded")
	}
	return nil
}

// Age is how long an event has been dead.
func (s Summary) Age(now time.Time) time.Duration {
	since := s.First
	if since.IsZero() {
		since = s.Died
	}
	return now.Sub(since)
}
