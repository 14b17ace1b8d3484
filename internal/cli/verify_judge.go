package cli

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/grapnel/grapnel/internal/provider"
	"github.com/grapnel/grapnel/internal/verify"
)

// verdict is the verdict on a request.
type verdict struct {
	Valid  bool   `json:"valid"`
	Step   string `json:"step,omitempty"`
	Reason string `json:"reason,omitempty"`
	Detail string `json:"detail,omitempty"`
	// EventID is the ID that the receiver gives the event, and Type its type.
	EventID string `json:"eventId,omitempty"`
	Type    string `json:"type,omitempty"`
	// Events are those of a batch, which has no one ID.
	Events []provider.Identified `json:"events,omitempty"`
	// Bearer tells that the request proves knowledge of a token, and nothing of
	// what it carries.
	Bearer bool `json:"bearer,omitempty"`
	// Signed is what the sender must have signed.
	Signed string `json:"signed,omitempty"`
	// Event is nil where the request is not valid, or is a handshake.
	Event *verify.Event `json:"event,omitempty"`
}

// judgingRule is what requests are judged by.
type judgingRule struct {
	verifier *verify.Verifier
	secrets  []verify.Secret
	// source is the name under which the receiver would know the sender.
	source string
	// url is what the sender was given, where the configuration says so.
	url string
}

// maxPlain bounds a body that is decompressed.
const maxPlain = 64 << 20

// judge takes the steps that the receiver takes of a request by itself.
func (u judgingRule) judge(r *verify.Request, o verify.Options) (verdict, error) {
	if u.url != "" {
		r.URL = u.url
		if r.Query != "" && !strings.Contains(u.url, "?") {
			r.URL += "?" + r.Query
		}
	}
	r, err := u.verifier.Decompress(r, maxPlain)
	if err != nil {
		return u.refused(nil, o, err)
	}
	if out, is, err := u.handshake(r, verify.Unsigned, o); is {
		return out, err
	}
	if !u.verifier.IsEvent(r.Method) {
		return verdict{Step: "method", Reason: "method", Detail: "no event of this sender comes by " + r.Method +
			"; the receiver answers 405"}, nil
	}
	if err := u.verifier.Verify(r, u.secrets, o); err != nil {
		return u.refused(r, o, err)
	}
	if out, is, err := u.handshake(r, verify.Signed, o); is {
		return out, err
	}
	if !u.verifier.BodyOK(r) {
		return verdict{Step: "body", Reason: "json", Detail: "the sender is right, but it sends JSON and this body is none"}, nil
	}
	events, err := provider.Identify(u.verifier, u.source, r)
	if err != nil {
		return u.refused(nil, o, err)
	}
	out := verdict{Valid: true, Signed: u.signed(r), Bearer: u.verifier.Traits().Bearer, Events: events}
	if len(events) == 1 {
		only := events[0]
		out.EventID, out.Type, out.Event, out.Events = only.EventID, only.Type, &only.Event, nil
	}
	return out, nil
}

// handshake is the ruling on a request that is one of a phase; is tells whether it is.
func (u judgingRule) handshake(r *verify.Request, ph verify.Phase, o verify.Options) (out verdict, is bool, err error) {
	// A subscription to SNS is confirmed by a visit, which is the receiver's to make.
	o.Fetch = func(context.Context, string) ([]byte, error) { return nil, nil }
	answer, err := u.verifier.Handshake(r, u.secrets, ph, o)
	switch {
	case err != nil:
		out, err = u.refused(r, o, err)
	case answer == nil:
		return verdict{}, false, nil
	case answer.Refused != nil:
		out, err = u.refused(r, o, answer.Refused)
	default:
		out = verdict{Valid: true, Detail: fmt.Sprintf("the handshake %s, answered with %d and the body %q",
			answer.Name, answer.Status, answer.Body)}
	}
	return out, true, err
}

// signed is what the sender must have signed, where that can be said.
func (u judgingRule) signed(r *verify.Request) string {
	content, err := u.verifier.Content(r)
	if err != nil {
		return ""
	}
	return string(content)
}

// refused is the ruling on what failed; r is nil where nothing more can be said.
func (u judgingRule) refused(r *verify.Request, o verify.Options, err error) (verdict, error) {
	var f *verify.Failure
	switch {
	case !errors.As(err, &f):
		return verdict{}, err
	case f.Reason == verify.EmptySecret && len(u.secrets) == 0:
		return verdict{}, &usageError{errors.New("say by which secret to judge: --secret, or --source for those of grapnel.yaml")}
	}
	out := verdict{Step: f.Step.String(), Reason: string(f.Reason), Detail: f.Detail}
	if r != nil {
		out.Signed = u.signed(r)
		out.Detail += u.hint(r, o, f)
	}
	return out, nil
}

// hint says what else to try of a request that is not valid.
func (u judgingRule) hint(r *verify.Request, o verify.Options, f *verify.Failure) string {
	if f.Step == verify.StepWindow {
		return "; --now TIME judges at another time, --now none leaves the window out"
	}
	cut := *r
	cut.Body = bytes.TrimSuffix(bytes.TrimSuffix(r.Body, []byte("\n")), []byte("\r"))
	if f.Step == verify.StepSignature && len(cut.Body) < len(r.Body) && u.verifier.Verify(&cut, u.secrets, o) == nil {
		return "; without the line end behind the body, which editors add, it is valid"
	}
	return ""
}
