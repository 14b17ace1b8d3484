package starter

import (
	"errors"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/gofiber/fiber/v2"

	"github.com/grapnel/grapnel/internal/verify"
)

// refusal is an answer that takes no event, and why. Its message is all that the
// caller hears; the cause is for the log.
type refusal struct {
	status  int
	reason  string // a metric label
	message string
	headers map[string]string
	cause   error
}

func (r *refusal) Error() string { return r.message }

// This file is the table of refusals, in the order of the checks.

func overloaded() *refusal {
	return &refusal{
		status: fiber.StatusServiceUnavailable, reason: "overloaded", message: "Try again later",
		cause:   errors.New("more requests are in hand than max_requests"),
		headers: map[string]string{fiber.HeaderRetryAfter: seconds(time.Second)},
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

// noList is the answer while a list of addresses was never read: closed, but the
// trouble is ours, so the sender is to try again.
func noList() *refusal {
	return &refusal{
		status: fiber.StatusServiceUnavailable, reason: "ip-list", message: "Try again later",
		cause:   errors.New("the list of allow_ips has not been read yet"),
		headers: map[string]string{fiber.HeaderRetryAfter: seconds(retryAfter)},
	}
}

func tooManyOfIP(wait time.Duration) *refusal {
	return &refusal{
		status: fiber.StatusTooManyRequests, reason: "rate-ip", message: "Too many requests",
		headers: map[string]string{fiber.HeaderRetryAfter: seconds(wait)},
	}
}

func tooLarge() *refusal {
	return &refusal{status: fiber.StatusRequestEntityTooLarge, reason: "too-large", message: "Body too large"}
}

func unreadable(err error) *refusal {
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return &refusal{status: fiber.StatusRequestTimeout, reason: "slow", message: "Request took too long", cause: err}
	}
	return &refusal{status: fiber.StatusBadRequest, reason: "unreadable", message: "Unreadable body", cause: err}
}

func badHandshake(err error) *refusal {
	var f *verify.Failure
	if errors.As(err, &f) && f.Step == verify.StepService {
		return unverified(err, 0)
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

// unverified is the answer to a request that its source does not vouch for.
// reject is the status that the sender wants for a wrong signature.
func unverified(err error, reject int) *refusal {
	r := &refusal{status: reject, reason: "signature", message: "Invalid signature", cause: err}
	var f *verify.Failure
	if !errors.As(err, &f) {
		return r
	}
	r.reason = string(f.Reason)
	switch {
	case f.Step == verify.StepService:
		r.status, r.message = fiber.StatusServiceUnavailable, "Try again later"
		r.headers = map[string]string{fiber.HeaderRetryAfter: seconds(retryAfter)}
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
			fiber.HeaderRetryAfter:  seconds(g.retry),
			"X-RateLimit-Limit":     strconv.Itoa(g.limit),
			"X-RateLimit-Remaining": strconv.Itoa(g.remaining),
			"X-RateLimit-Reset":     seconds(g.reset),
		},
	}
}

func notJSON() *refusal {
	return &refusal{status: fiber.StatusBadRequest, reason: "json", message: "Invalid JSON body"}
}

// retryAfter is what senders are told to wait when the trouble is ours.
const retryAfter = 5 * time.Second

// notDurable is the answer when neither Temporal nor a disk has the event. It is
// never a 4xx: the sender must try again.
func notDurable(err error) *refusal {
	return &refusal{
		status: fiber.StatusServiceUnavailable, reason: "unavailable", message: "Try again later", cause: err,
		headers: map[string]string{fiber.HeaderRetryAfter: seconds(retryAfter)},
	}
}

// seconds is a time as Retry-After gives it: whole seconds, rounded up.
func seconds(d time.Duration) string {
	return strconv.Itoa(max(int((d+time.Second-1)/time.Second), 1))
}
