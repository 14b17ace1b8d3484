package starter

import (
	"context"
	"errors"
	"time"

	"github.com/gofiber/fiber/v2"
	"go.uber.org/zap"

	"github.com/grapnel/grapnel/internal/event"
	"github.com/grapnel/grapnel/internal/verify"
)

// receive is the path of one event. Each check has its own answer; the first
// that fails ends it. What is not refused is acknowledged only once it is
// durable.
//
//nolint:cyclop,funlen // A list of checks, one after the other, is read best as one.
func (s *Starter) receive(c *fiber.Ctx) error {
	t := s.table.Load()
	x := s.exchange(c, t)
	defer s.inHand.Add(-1)
	if s.inHand.Add(1) > int64(t.config.MaxRequests) {
		return s.refuse(x, overloaded())
	}
	if err := framing(&c.Request().Header); err != nil {
		return s.refuse(x, badFraming(err))
	}
	d, ok := t.doors[c.Params("source")]
	if !ok {
		return s.refuse(x, unknownSource())
	}
	x.door = d
	if err := d.admit(x); err != nil {
		return s.refuse(x, err)
	}
	if err := x.read(d); err != nil {
		return s.refuse(x, err)
	}
	x.whole = s.now()
	o := verify.Options{Context: s.alive, Now: x.whole, Tolerance: d.source.Tolerance, Fetch: t.fetch}
	if answer, err := d.verifier.Handshake(&x.request, d.secrets, verify.Unsigned, o); err != nil || answer != nil {
		return s.handshake(x, answer, err)
	}
	if !d.verifier.IsEvent(c.Method()) {
		return s.refuse(x, d.wrongMethod())
	}
	if err := d.authenticate(x); err != nil {
		return s.refuse(x, err)
	}
	if err := s.verify(x, t, o); err != nil {
		return s.refuse(x, unverified(err, d.verifier.RejectStatus()))
	}
	if err := d.limit(); err != nil {
		return s.refuse(x, err)
	}
	if answer, err := d.verifier.Handshake(&x.request, d.secrets, verify.Signed, o); err != nil || answer != nil {
		return s.handshake(x, answer, err)
	}
	in, err := d.identify(x)
	if err != nil {
		return s.refuse(x, err)
	}
	x.event = &in.Event
	if len(d.source.Events) > 0 && !event.MatchAny(d.source.Events, in.Event.Type) {
		return s.accept(x, Ignored)
	}
	return s.hand(x, t, in)
}

// verify judges the request. A certificate or key that has to be fetched first may
// use up most of the ack budget; the fetch goes on by itself, and the sender's next
// try finds what it brought.
func (s *Starter) verify(x *exchange, t *table, o verify.Options) error {
	if x.door.verifier.MayFetch() {
		ctx, cancel := context.WithTimeout(s.alive, t.config.Ack.Budget-t.config.Ack.Budget/engineShare)
		defer cancel()
		o.Context = ctx
	}
	return x.door.verifier.Verify(&x.request, x.door.secrets, o) //nolint:wrapcheck // It is judged by its type.
}

// engineShare is the part of the ack budget that is the engine's in any case.
const engineShare = 6

// hand gives the event to Temporal within the ack budget, or to the disk.
func (s *Starter) hand(x *exchange, t *table, in Incoming) error {
	budget := max(t.config.Ack.Budget-s.now().Sub(x.whole), t.config.Ack.Budget/engineShare)
	id, outcome, err := s.engineOrDisk(in, budget, x.whole)
	if err != nil {
		return s.refuse(x, notDurable(err))
	}
	x.collided = id != in.Event.ID
	x.event.ID = id
	return s.accept(x, outcome)
}

// errBusy says that as many starts are under way as the engine takes easily, or
// that it has not answered lately.
var errBusy = errors.New("the engine is busy or away")

// engineOrDisk makes an event durable that was read whole at a time.
func (s *Starter) engineOrDisk(in Incoming, budget time.Duration, whole time.Time) (id string, o Outcome, err error) {
	if s.spool == nil {
		return s.engineAlone(in, budget)
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
	timer := time.NewTimer(budget)
	defer timer.Stop()
	select {
	case a := <-s.begin(in, visit.leave):
		if a.err != nil {
			return in.Event.ID, Queued, s.keep(in, whole, a.err)
		}
		return a.id, a.outcome, nil
	case <-timer.C:
		visit.late()
		return in.Event.ID, Queued, s.keep(in, whole, errSlow)
	}
}

// Ignored is the outcome of an event whose type its source does not take.
const Ignored Outcome = "ignored"

// accept answers an event that is durable, or not wanted.
func (s *Starter) accept(x *exchange, o Outcome) error {
	p := &x.door.profile
	status := fiber.StatusOK
	for _, wish := range []int{p.Ack.Status, x.door.source.AckStatus} {
		if wish != 0 {
			status = wish
		}
	}
	defer s.observe(x, string(o), status, nil)
	if p.Ack.Body != "" || status == fiber.StatusNoContent {
		x.ctx.Set(fiber.HeaderContentType, p.Ack.ContentType)
		return x.ctx.Status(status).SendString(p.Ack.Body)
	}
	if o == Ignored {
		return x.json(status, success{Success: true, Ignored: true})
	}
	return x.json(status, success{
		Success: true, EventID: x.event.ID,
		Duplicate: o == Duplicate || o == Abandoned, Replayed: o == Replayed, Queued: o == Queued,
	})
}

// success is the answer to an event that was taken.
type success struct {
	Success   bool   `json:"success"`
	EventID   string `json:"eventId,omitempty"`
	Ignored   bool   `json:"ignored,omitempty"`
	Duplicate bool   `json:"duplicate,omitempty"`
	Replayed  bool   `json:"replayed,omitempty"`
	Queued    bool   `json:"queued,omitempty"`
}

// maxNote is the length in characters up to which a note is logged: a stranger
// may have written it.
const maxNote = 300

// handshake answers a sender that tries out the door.
func (s *Starter) handshake(x *exchange, a *verify.Answer, err error) error {
	if err != nil {
		return s.refuse(x, badHandshake(err))
	}
	if a.Note != "" {
		s.log.Warn("a sender says what its owner must know",
			append(x.fields("handshake", nil), zap.String("note", event.Clean(a.Note, maxNote)))...)
	}
	outcome, refused := "handshake", (*refusal)(nil)
	if a.Refused != nil {
		outcome = "handshake-" + string(a.Refused.Reason)
		refused = &refusal{status: a.Status, reason: outcome, cause: a.Refused}
		if a.Status == fiber.StatusServiceUnavailable {
			x.ctx.Set(fiber.HeaderRetryAfter, seconds(retryAfter))
		}
	}
	defer s.observe(x, outcome, a.Status, refused)
	for k, v := range a.Headers {
		x.ctx.Set(k, v)
	}
	x.ctx.Set(fiber.HeaderXContentTypeOptions, "nosniff")
	x.ctx.Set(fiber.HeaderContentType, a.ContentType)
	return x.ctx.Status(a.Status).Send(a.Body)
}

// identify reads what the request says of its event and gives it its ID.
func (d *door) identify(x *exchange) (Incoming, error) {
	r := &x.request
	if !d.verifier.BodyOK(r) {
		return Incoming{}, notJSON()
	}
	said := d.verifier.Identify(r)
	in := Incoming{Body: r.Body, Live: true, Event: event.Event{
		Source: d.source.Name, Type: said.Type, SenderID: said.ID, Subject: said.Subject, Time: writable(said.Time),
		DataContentType: string(x.ctx.Request().Header.ContentType()),
		Received:        x.began.UTC(),
	}}
	in.Event.ID, in.Digest = d.identity(in)
	for _, text := range []*string{&in.Event.Type, &in.Event.SenderID, &in.Event.Subject} {
		*text = event.Cut(*text, maxText)
	}
	return in, nil
}
