package starter

import (
	"bytes"

	"github.com/gofiber/fiber/v2"
	"golang.org/x/sync/errgroup"
)

// batchAtOnce is how many events of one batch are made durable at once.
const batchAtOnce = 64

// successes is the answer to a batch.
type successes struct {
	Success bool      `json:"success"`
	Events  []success `json:"events"`
}

// handAll makes the events of a batch durable and answers. The sender hears success only if all
// of them are durable. Otherwise it sends the batch again, and the events that are durable
// already are duplicates.
func (s *Starter) handAll(x *exchange, t *doorTable, events []Incoming) error {
	outcomes, collided, failure := s.makeAllDurable(x, t, events)
	status, ack := x.acknowledgement()
	if failure != nil {
		status = fiber.StatusServiceUnavailable
	}
	answer := successes{Success: true, Events: []success{}}
	// Each event counts as a request.
	more := failure != nil || len(events) == 0
	for i, outcome := range outcomes {
		if outcome == "" {
			continue
		}
		if more && s.observer != nil {
			s.observer.Began()
		}
		more = true
		x.event, x.collided = &events[i].Event, collided[i]
		s.observe(x, string(outcome), status, nil)
		answer.Events = append(answer.Events, successOf(x.event, outcome))
	}
	x.event, x.collided = nil, false
	switch {
	case failure != nil:
		return s.refuse(x, notDurable(failure))
	case len(events) == 0:
		defer s.observe(x, string(Ignored), status, nil)
	}
	return x.acknowledge(status, ack, answer)
}

// makeAllDurable makes those events of a batch durable that the source takes, several at once,
// until one fails. An event without an outcome failed or was not tried. An event that the batch
// holds twice, byte for byte, costs Temporal nothing the second time: whoever has captured an
// event that is signed by itself could put it into a batch a thousand times.
func (s *Starter) makeAllDurable(x *exchange, t *doorTable, events []Incoming) (outcomes []Acceptance, collided []bool, failure error) {
	outcomes, collided = make([]Acceptance, len(events)), make([]bool, len(events))
	g, ctx := errgroup.WithContext(s.alive)
	g.SetLimit(batchAtOnce)
	first, again := make(map[string]int, len(events)), map[int]int{}
	for i := range events {
		if f, known := first[events[i].name()]; known && bytes.Equal(events[f].Body, events[i].Body) {
			again[i] = f
			continue
		}
		first[events[i].name()] = i
		g.Go(func() error {
			in := &events[i]
			switch {
			case !x.door.wants(&in.Event):
				outcomes[i] = Ignored
				return nil
			case ctx.Err() != nil:
				return ctx.Err()
			}
			end := s.span(x, in) //nolint:contextcheck // It outlives the request, as what is begun does.
			defer func() { end(string(outcomes[i])) }()
			id, outcome, err := s.makeDurable(*in, s.budget(x, t), x.whole) //nolint:contextcheck // A start that is begun goes on.
			if err != nil {
				return err
			}
			outcomes[i], collided[i] = outcome, id != in.Event.ID
			in.Event.ID = id
			return nil
		})
	}
	failure = g.Wait()
	for i, f := range again {
		switch outcomes[f] {
		case "", Ignored:
			outcomes[i] = outcomes[f]
		default:
			outcomes[i] = Duplicate
		}
		events[i].Event.ID = events[f].Event.ID
	}
	return outcomes, collided, failure
}
