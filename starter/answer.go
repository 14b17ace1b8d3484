package starter

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"mime"
	"os"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/gofiber/fiber/v2"
	"go.uber.org/zap"

	"github.com/grapnel/grapnel/internal/event"
	"github.com/grapnel/grapnel/internal/tracing"
	"github.com/grapnel/grapnel/internal/verify"
)

// accept answers the sender of an event that is durable, or that the source does not take.
func (s *Starter) accept(x *exchange, o Acceptance) error {
	status, ack := x.acknowledgement()
	defer s.observe(x, string(o), status, nil)
	return x.acknowledge(status, ack, successOf(x.event, o))
}

// acknowledgement gives the answer that the sender expects, and its status.
func (x *exchange) acknowledgement() (int, verify.Ack) {
	ack := x.door.verifier.Ack(&x.request)
	return cmp.Or(ack.Status, x.door.source.AckStatus, fiber.StatusOK), ack
}

// acknowledge answers as the sender expects; by default it says what became of the request.
func (x *exchange) acknowledge(status int, ack verify.Ack, became any) error {
	switch {
	case ack.Empty || status == fiber.StatusNoContent:
		return x.ctx.Status(status).Send(nil)
	case ack.Body != "":
		x.ctx.Set(fiber.HeaderContentType, ack.ContentType)
		return x.ctx.Status(status).SendString(ack.Body)
	}
	return x.json(status, became)
}

// successOf is the answer to an event.
func successOf(e *event.Event, o Acceptance) success {
	if o == Ignored {
		return success{Success: true, Ignored: true}
	}
	return success{
		Success: true, EventID: e.ID,
		Duplicate: o == Duplicate || o == Abandoned || o == Changed, Replayed: o == Replayed, Queued: o == Queued,
	}
}

// success is the answer to an accepted event.
type success struct {
	Success   bool   `json:"success"`
	EventID   string `json:"eventId,omitempty"`
	Ignored   bool   `json:"ignored,omitempty"`
	Duplicate bool   `json:"duplicate,omitempty"`
	Replayed  bool   `json:"replayed,omitempty"`
	Queued    bool   `json:"queued,omitempty"`
}

// refuse answers a request that is refused.
func (s *Starter) refuse(x *exchange, err error) error {
	var r *refusal
	if !errors.As(err, &r) {
		r = notDurable(err)
	}
	for k, v := range r.headers {
		x.ctx.Set(k, v)
	}
	if x.request.Header == nil {
		// The body was not read, and must not be read as the next request.
		x.ctx.Context().SetConnectionClose()
	}
	defer s.observe(x, r.reason, r.status, r)
	return x.json(r.status, map[string]string{"error": r.message})
}

// fault answers requests that do not come to receive: an unknown path, a header that is too
// large.
func (s *Starter) fault(c *fiber.Ctx, err error) error {
	status := fiber.StatusInternalServerError
	if f, ok := errors.AsType[*fiber.Error](err); ok {
		status = f.Code
	}
	x := s.exchange(c, s.table.Load())
	x.framing, _ = readFraming(c.Context()) // For its fields; it is refused in any case.
	r := &refusal{status: status, reason: "http-" + strconv.Itoa(status), message: fiber.NewError(status).Message}
	if status != fiber.StatusNotFound {
		// err itself is not logged, because its text can quote what was sent.
		r.cause = errors.New("the request can't be read as HTTP: " + r.message)
	}
	return s.refuse(x, r)
}

// json answers with v as JSON.
func (x *exchange) json(status int, v any) error {
	b, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("encode an answer: %w", err)
	}
	x.ctx.Set(fiber.HeaderContentType, fiber.MIMEApplicationJSON)
	x.ctx.Set(fiber.HeaderXContentTypeOptions, "nosniff")
	return x.ctx.Status(status).Send(append(b, '\n'))
}

// observe tells the log and the observer how a request ended.
func (s *Starter) observe(x *exchange, outcome string, status int, r *refusal) {
	x.outcome = outcome
	a := Answer{
		Outcome: outcome, Status: status, Took: s.now().Sub(x.began), Refused: r != nil, Collided: x.collided,
		Client: x.origin.client.String(), Method: x.ctx.Method(), Path: x.ctx.Path(), Body: x.request.Body,
		Header: func(yield func(name, value string) bool) {
			for _, f := range x.framing.fields {
				if !yield(f.name, f.value) {
					return
				}
			}
		},
	}
	if x.door != nil {
		a.Source, a.Secret = x.door.source.Name, x.door.secretHeaders
	}
	if r != nil && r.cause != nil {
		a.Detail = x.table.masker.Mask(r.cause.Error())
	}
	switch {
	case r != nil:
		s.logRefusal(x, outcome, status, r)
	case outcome == string(Changed):
		s.log.Warn("repeat of an event with another body: its sender's id is the same, so it counts as the same event and the body is not looked at",
			x.fields(outcome, nil)...)
	case outcome == string(Abandoned):
		s.log.Warn("repeat of an event that somebody ended by hand", x.fields(outcome, nil)...)
	default:
		s.log.Info("event received", x.fields(outcome, nil)...)
	}
	if s.observer != nil {
		s.observer.Answered(a)
	}
}

// fields are what the log says of an exchange. None holds a body or a secret.
func (x *exchange) fields(outcome string, err error) []zap.Field {
	f := make([]zap.Field, 0, 8)
	f = append(f, zap.String("outcome", outcome))
	if x.door != nil {
		f = append(f, zap.String("source", x.door.source.Name))
	}
	if x.event != nil {
		f = append(f, zap.String("type", event.Attribute(x.event.Type)), zap.String("event", x.event.ID))
		if id := tracing.ID(*x.event); id != "" {
			f = append(f, zap.String("trace", id))
		}
	}
	if x.sample {
		f = append(f, zap.Bool("development sample", true))
	}
	if x.origin.client.IsValid() {
		f = append(f, zap.Stringer("client", x.origin.client))
	}
	if err != nil {
		f = append(f, zap.String("error", x.table.masker.Mask(err.Error())))
	}
	return f
}

// logRefusal logs a refusal, unless many of its kind came lately. All are counted.
func (s *Starter) logRefusal(x *exchange, outcome string, status int, r *refusal) {
	kind := refusalKind{reason: outcome}
	if x.door != nil {
		kind.source = x.door.source.Name
	}
	logIt, left := s.refusals.Take(kind)
	if !logIt {
		return
	}
	fields := x.fields(outcome, r.cause)
	if left > 0 {
		fields = append(fields, zap.Int("more like it, not logged", left))
	}
	if status >= fiber.StatusInternalServerError {
		s.log.Error("event not taken", fields...)
		return
	}
	s.log.Warn("request refused", fields...)
}

// refusalKind has no more values than there are sources and reasons; strangers can't make up
// others.
type refusalKind struct{ source, reason string }

// refusal is the answer to a refused request. The caller gets only the message; the cause is for
// the log.
type refusal struct {
	status  int
	reason  string // a metric label
	message string
	headers map[string]string
	cause   error
}

func (r *refusal) Error() string { return r.message }

// The rest of this file is the table of refusals, in the order of the checks.

func overloaded(why string) *refusal {
	return &refusal{
		status: fiber.StatusServiceUnavailable, reason: "overloaded", message: "Try again later",
		cause:   errors.New(why),
		headers: map[string]string{fiber.HeaderRetryAfter: wholeSeconds(time.Second)},
	}
}

func badFraming(err error) *refusal {
	return &refusal{status: fiber.StatusBadRequest, reason: "framing", message: "Bad request", cause: err}
}

func unknownSource() *refusal {
	return &refusal{status: fiber.StatusNotFound, reason: "unknown-source", message: "Unknown source"}
}

func (d *door) wrongMethod() *refusal {
	return &refusal{
		status: fiber.StatusMethodNotAllowed, reason: "method", message: "Method not allowed",
		headers: map[string]string{fiber.HeaderAllow: strings.Join(d.verifier.Methods(), ", ")},
	}
}

func notHTTPS() *refusal {
	return &refusal{status: fiber.StatusForbidden, reason: "https", message: "HTTPS required"}
}

func forbiddenIP() *refusal {
	return &refusal{status: fiber.StatusForbidden, reason: "ip", message: "Forbidden"}
}

// noList is the answer while the list of allow_ips has not been read yet. Nobody is let in, but
// the trouble is not the sender's, so it is told to try again.
func noList() *refusal {
	return &refusal{
		status: fiber.StatusServiceUnavailable, reason: "ip-list", message: "Try again later",
		cause:   errors.New("the list of allow_ips has not been read yet"),
		headers: map[string]string{fiber.HeaderRetryAfter: wholeSeconds(retryAfter)},
	}
}

func tooManyOfIP(wait time.Duration) *refusal {
	return &refusal{
		status: fiber.StatusTooManyRequests, reason: "rate-ip", message: "Too many requests",
		headers: map[string]string{fiber.HeaderRetryAfter: wholeSeconds(wait)},
	}
}

func tooLarge() *refusal {
	return &refusal{status: fiber.StatusRequestEntityTooLarge, reason: "too-large", message: "Body too large"}
}

func badBody(err error) *refusal {
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return &refusal{status: fiber.StatusRequestTimeout, reason: "slow", message: "Request took too long", cause: err}
	}
	return &refusal{status: fiber.StatusBadRequest, reason: "unreadable", message: "Unreadable body", cause: err}
}

func badHandshake(err error) *refusal {
	var f *verify.Failure
	if errors.As(err, &f) && f.Step == verify.StepService {
		return badSignature(err, 0)
	}
	return &refusal{status: fiber.StatusBadRequest, reason: "handshake", message: "Invalid challenge", cause: err}
}

func badCredentials(challenge string) *refusal {
	r := &refusal{status: fiber.StatusUnauthorized, reason: "credentials", message: "Invalid credentials"}
	if challenge != "" {
		r.headers = map[string]string{fiber.HeaderWWWAuthenticate: challenge}
	}
	return r
}

// basicChallenge asks a sender for a user name and a password (RFC 7617).
const basicChallenge = `Basic realm="webhooks", charset="UTF-8"`

// unverified is the answer of a source to a request that is not verified.
func (d *door) unverified(err error) *refusal {
	r := badSignature(err, d.verifier.RejectStatus())
	if d.profile.Algorithm == "basic" && r.status == fiber.StatusUnauthorized {
		r.headers = map[string]string{fiber.HeaderWWWAuthenticate: basicChallenge}
	}
	return r
}

// badSignature is the answer to a request that is not verified. reject is the status that the
// sender expects for a wrong signature.
func badSignature(err error, reject int) *refusal {
	r := &refusal{status: reject, reason: "signature", message: "Invalid signature", cause: err}
	var f *verify.Failure
	if !errors.As(err, &f) {
		return r
	}
	r.reason = string(f.Reason)
	switch {
	case f.Step == verify.StepService:
		r.status, r.message = fiber.StatusServiceUnavailable, "Try again later"
		r.headers = map[string]string{fiber.HeaderRetryAfter: wholeSeconds(retryAfter)}
	case f.Step == verify.StepCredentials:
		r.status, r.message = fiber.StatusUnauthorized, "Invalid credentials"
	case f.Step == verify.StepTimestamp:
		r.status, r.message = fiber.StatusBadRequest, "Invalid request timestamp"
	case f.Reason == verify.TimestampTooNew:
		r.status, r.message = fiber.StatusBadRequest, "Request timestamp in the future"
	case f.Step == verify.StepWindow:
		r.status, r.message = fiber.StatusBadRequest, "Request timestamp too old"
	}
	return r
}

func tooMany(g grant) *refusal {
	return &refusal{
		status: fiber.StatusTooManyRequests, reason: "rate", message: "Too many requests",
		headers: map[string]string{
			fiber.HeaderRetryAfter:  wholeSeconds(g.retry),
			"X-RateLimit-Limit":     strconv.Itoa(g.limit),
			"X-RateLimit-Remaining": strconv.Itoa(g.remaining),
			"X-RateLimit-Reset":     wholeSeconds(g.reset),
		},
	}
}

func notJSON(why string) *refusal {
	return &refusal{status: fiber.StatusBadRequest, reason: "json", message: "Invalid JSON body", cause: errors.New(why)}
}

// badEvent is the answer to a verified request of which the event can't be identified.
func badEvent(err error) *refusal {
	r := &refusal{status: fiber.StatusBadRequest, reason: "event", message: "Invalid event", cause: err}
	if f, ok := errors.AsType[*verify.Failure](err); ok {
		r.reason = string(f.Reason)
	}
	return r
}

func unknownCoding() *refusal {
	return &refusal{
		status: fiber.StatusUnsupportedMediaType, reason: "coding", message: "Unsupported content coding",
		cause:   errors.New("Content-Encoding names a coding that is not known"),
		headers: map[string]string{fiber.HeaderAcceptEncoding: strings.Join(knownCodings(), ", ")},
	}
}

// whyNoJSON tells the owner of the source why a body is not JSON: what its bytes look like, what
// the sender says it is, or where the JSON breaks off. It quotes nothing of the body.
func whyNoJSON(header fields, body []byte) string {
	if header.first(fiber.HeaderContentEncoding) != "" {
		return "the body is compressed, as Content-Encoding says; let the sender send it plain, or take it with body: bytes"
	}
	if why := whyNoUTF8(body); why != "" {
		return why
	}
	if why := otherType(header.first(fiber.HeaderContentType), body); why != "" {
		return why
	}
	var v any
	err := json.Unmarshal(bytes.TrimPrefix(body, []byte("\ufeff")), &v)
	if syntax, ok := errors.AsType[*json.SyntaxError](err); ok {
		if strings.HasPrefix(syntax.Error(), "unexpected end") {
			return fmt.Sprintf("the JSON ends too early, after %d bytes", len(body))
		}
		return fmt.Sprintf("the JSON is broken at byte %d", syntax.Offset)
	}
	return "the body is no JSON"
}

// whyNoUTF8 tells by a body's bytes whether it is not text, or text in an encoding that JSON does
// not allow.
func whyNoUTF8(body []byte) string {
	nul := []byte{0}
	switch {
	case bytes.HasPrefix(body, []byte{0xff, 0xfe}), bytes.HasPrefix(body, []byte{0xfe, 0xff}):
		return "the body begins with a byte order mark of UTF-16; JSON is UTF-8 (RFC 8259, section 8.1)"
	case bytes.HasPrefix(body, []byte{0x1f, 0x8b}):
		return "the body is gzip, and no Content-Encoding says so"
	case bytes.Count(body, nul) > len(body)/4, bytes.Contains(body, nul) && !utf8.Valid(bytes.ReplaceAll(body, nul, nil)):
		return "the body is not UTF-8: every other byte is NUL, as in UTF-16 or UTF-32"
	case bytes.Contains(body, nul):
		return "the body holds a NUL byte"
	}
	return ""
}

// otherType tells by a body's Content-Type, or by its first bytes, whether it is something other
// than JSON.
func otherType(label string, body []byte) string {
	kind, params, _ := mime.ParseMediaType(label)
	form := bytes.HasPrefix(body, []byte("payload=")) || bytes.IndexByte(body, '=') > 0 && !bytes.ContainsAny(body, "{}[]\"<>\x00 \n")
	switch {
	case kind == fiber.MIMEApplicationForm:
		return "the body is a form, as its Content-Type says; let the sender send JSON, or take it with body: form or multi"
	case form:
		return "the body is a form, though its Content-Type does not say so"
	case strings.HasPrefix(kind, "multipart/"):
		return "the body is a form in parts, as its Content-Type says"
	case params["charset"] != "" && !strings.EqualFold(params["charset"], "utf-8") && !utf8.Valid(body):
		return "the body is not UTF-8 but of another charset, as its Content-Type says"
	}
	return ""
}

// retryAfter is how long senders are told to wait when the trouble is ours.
const retryAfter = 5 * time.Second

// notDurable is the answer when neither Temporal nor the spool has taken the event. It is never a
// 4xx, because the sender must try again.
func notDurable(err error) *refusal {
	return &refusal{
		status: fiber.StatusServiceUnavailable, reason: "unavailable", message: "Try again later", cause: err,
		headers: map[string]string{fiber.HeaderRetryAfter: wholeSeconds(retryAfter)},
	}
}

// wholeSeconds writes a time for Retry-After: in whole seconds, rounded up.
func wholeSeconds(d time.Duration) string {
	return strconv.Itoa(max(int((d+time.Second-1)/time.Second), 1))
}
