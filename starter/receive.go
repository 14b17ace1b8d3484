package starter

import (
	"context"
	"time"

	"github.com/gofiber/fiber/v2"
	"go.uber.org/zap"

	"github.com/grapnel/grapnel/internal/event"
	"github.com/grapnel/grapnel/internal/provider"
	"github.com/grapnel/grapnel/internal/tracing"
	"github.com/grapnel/grapnel/internal/verify"
)

// receive is the path of one event, from the request to its answer. Each check has its own
// answer, and the first that fails ends the path. The sender hears success only once its event is
// durable. In this function the request may still be a stranger's; receiveVerified goes on when
// it is known to be the sender's.
func (s *Starter) receive(c *fiber.Ctx) error {
	t := s.table.Load()
	x := s.exchange(c, t)
	var err error
	if x.framing, err = readFraming(c.Context()); err != nil {
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
	defer s.release(x)
	if err := s.read(x); err != nil {
		return s.refuse(x, err)
	}
	x.whole = s.now()
	o := verify.Options{Context: s.alive, Now: x.whole, Tolerance: d.source.Tolerance, Fetch: t.fetch, Client: networkOf(x.origin.client).String()}
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
		return s.refuse(x, d.unverified(err))
	}
	return s.receiveVerified(x, t, o)
}

// receiveVerified is the second part of the path, for a request that the source's sender has
// signed.
func (s *Starter) receiveVerified(x *exchange, t *doorTable, o verify.Options) error {
	d := x.door
	if err := d.limit(); err != nil {
		return s.refuse(x, err)
	}
	defer s.answered(x)
	if err := s.vouch(x, t); err != nil {
		return s.refuse(x, err)
	}
	if answer, err := d.verifier.Handshake(&x.request, d.secrets, verify.Signed, o); err != nil || answer != nil {
		return s.handshake(x, answer, err)
	}
	events, err := d.identify(x, t)
	if err != nil {
		return s.refuse(x, err)
	}
	if len(events) != 1 {
		return s.handAll(x, t, events)
	}
	x.event = &events[0].Event
	if !d.wants(x.event) {
		return s.accept(x, Ignored)
	}
	end := s.span(x, &events[0])
	defer func() { end(x.outcome) }()
	return s.hand(x, t, events[0])
}

// temporalShare says how much of the ack budget is kept for Temporal, however long the checks
// before it take: this fraction of it, one sixth.
const temporalShare = 6

// verify judges the signature. Where a certificate or key has to be fetched first,
// the fetch may take most of the ack budget. When that is not enough, the fetch goes
// on by itself, and the sender's next try finds what it brought.
func (s *Starter) verify(x *exchange, t *doorTable, o verify.Options) error {
	if x.door.verifier.Traits().Fetches {
		ctx, cancel := context.WithTimeout(s.alive, t.config.Ack.Budget-t.config.Ack.Budget/temporalShare)
		defer cancel()
		o.Context = ctx
	}
	if sample, err := x.isSample(o); sample {
		return err
	}
	return x.door.verifier.Verify(&x.request, x.door.secrets, o) //nolint:wrapcheck // It is judged by its type.
}

// vouch notes that the request was verified: from now on neither the request nor its connection
// gives way to strangers. It fails if the connection has had to give way already.
func (s *Starter) vouch(x *exchange, t *doorTable) error {
	s.release(x)
	g := x.body.conn
	g.vouched.Store(true)
	s.conns.stay(g.held, true)
	switch {
	case s.verified.Add(1) > int64(t.config.MaxRequests):
		return overloaded("more verified requests are in hand than max_requests")
	case s.conns.evicted(g.held):
		return overloaded("the connection was closed before the request was verified")
	}
	return nil
}

// answered ends what vouch began, when the verified request is answered.
func (s *Starter) answered(x *exchange) {
	s.verified.Add(-1)
	x.body.conn.answered.Store(true)
}

// identify reads what the request says of its event, or of each event of its batch, and
// gives each its ID.
func (d *door) identify(x *exchange, t *doorTable) ([]Incoming, error) {
	r, header := &x.request, x.framing.fields
	if !d.verifier.BodyOK(r) {
		return nil, notJSON(whyNoJSON(header, r.Body))
	}
	requests, err := d.verifier.Events(r)
	if err != nil {
		return nil, badEvent(err)
	}
	kept := d.source.Kept(header, t.masker)
	events := make([]Incoming, len(requests))
	for i, r := range requests {
		events[i] = d.incoming(x, r)
		events[i].Event.Headers = kept
		tracing.Read(&events[i].Event, header.first)
	}
	return events, nil
}

// incoming makes the event of a request, or of one part of a batch.
func (d *door) incoming(x *exchange, r *verify.Request) Incoming {
	read := d.verifier.Identify(r)
	in := Incoming{Body: r.Body, Live: d.source.Revive, Again: d.profile.Again, Event: event.Event{
		Source: d.source.Name, Type: read.Type, SenderID: read.ID, Subject: read.Subject, Time: writableTime(read.Time),
		DataContentEncoding: x.coding,
		Received:            x.began.UTC(),
	}}
	if kinds := r.Header.Values(fiber.HeaderContentType); len(kinds) > 0 {
		in.Event.DataContentType = kinds[0]
	}
	in.Event.ID, in.Digest = provider.EventID(d.verifier, d.source.Name, r)
	for _, text := range []*string{&in.Event.Type, &in.Event.SenderID, &in.Event.Subject} {
		*text = event.Cut(*text, maxText)
	}
	return in
}

// wants tells whether the source takes events of this type.
func (d *door) wants(e *event.Event) bool {
	return len(d.source.Events) == 0 || event.MatchAny(d.source.Events, e.Type)
}

// hand makes the event durable, in Temporal or on disk, within the ack budget, and then answers.
func (s *Starter) hand(x *exchange, t *doorTable, in Incoming) error {
	id, outcome, err := s.makeDurable(in, s.budget(x, t), x.whole)
	if err != nil {
		return s.refuse(x, notDurable(err))
	}
	x.collided = id != in.Event.ID
	x.event.ID = id
	return s.accept(x, outcome)
}

// budget gives the time that is left for Temporal.
func (s *Starter) budget(x *exchange, t *doorTable) time.Duration {
	return max(t.config.Ack.Budget-s.now().Sub(x.whole), t.config.Ack.Budget/temporalShare)
}

// maxNote is how many characters of a note are logged. A stranger may have written the note.
const maxNote = 300

// handshake answers a request by which a sender tries the receiver out before it sends events.
func (s *Starter) handshake(x *exchange, a *verify.Answer, err error) error {
	if err != nil {
		return s.refuse(x, badHandshake(err))
	}
	if a.Note != "" {
		s.log.Warn("a sender has told something that the source's owner must know",
			append(x.fields("handshake", nil), zap.String("note", event.Clean(a.Note, maxNote)))...)
	}
	outcome, refused := "handshake", (*refusal)(nil)
	if a.Refused != nil {
		outcome = "handshake-" + string(a.Refused.Reason)
		refused = &refusal{status: a.Status, reason: outcome, cause: a.Refused}
		if a.Status == fiber.StatusServiceUnavailable {
			x.ctx.Set(fiber.HeaderRetryAfter, wholeSeconds(retryAfter))
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
