package provider

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"

	"github.com/grapnel/grapnel/internal/verify"
)

// Vector is one request and the verdict on it that is right.
type Vector struct {
	ID       string `json:"id"`
	Provider string `json:"provider"`
	// Scheme is the name of a preset, or an alias.
	Scheme     string            `json:"scheme"`
	Name       string            `json:"name"`
	Method     string            `json:"method"`
	Path       string            `json:"path"`
	Headers    map[string]string `json:"headers"`
	Body       string            `json:"body"`
	BodyBase64 string            `json:"body_base64"`
	Secrets    []string          `json:"secrets"`
	Config     VectorConfig      `json:"config"`
	// Now is the time of the request in unix seconds; nil turns windows off.
	Now *int64 `json:"now"`
	// Expect is valid, or invalid:<reason>; only valid or not is normative.
	Expect         string          `json:"expect"`
	ExpectResponse *VectorResponse `json:"expect_response"`
}

// VectorConfig is what the source's owner configured.
type VectorConfig struct {
	// URL is the public one; default https://example.com and the path.
	URL string `json:"url"`
	// Tolerance in seconds; null is off, absent the preset's own.
	Tolerance json.RawMessage `json:"tolerance"`
	// CertificatePEM is taken instead of one fetched.
	CertificatePEM string `json:"certificate_pem"`
	WebhookID      string `json:"webhook_id"`
	TokenHeader    string `json:"token_header"`
	// KeyID is the name of the key that the secrets are, or a list of names.
	KeyID json.RawMessage `json:"key_id"`
	// Leeway in seconds of a token's times.
	Leeway json.Number `json:"leeway"`
}

// VectorResponse is the answer a handshake, or an accepted event, must get.
type VectorResponse struct {
	Status      int               `json:"status"`
	ContentType string            `json:"content_type"`
	Headers     map[string]string `json:"headers"`
	Body        *string           `json:"body"`
}

// VectorResult is how a vector was judged.
type VectorResult struct {
	ID     string `json:"id"`
	Scheme string `json:"scheme"`
	Name   string `json:"name"`
	Expect string `json:"expect"`
	// Got is in the form of Expect.
	Got string `json:"got"`
	// Agrees is whether valid or invalid is what was expected, and the answer too.
	Agrees bool `json:"agrees"`
	// SameReason is whether the reason is the expected one too.
	SameReason bool `json:"same_reason"`
	// EventID is the ID that the receiver would give the event of a valid vector, in
	// a source named as the scheme; empty for a handshake. Type is the event's.
	EventID string `json:"eventId,omitempty"`
	Type    string `json:"type,omitempty"`
	// Events are those of a batch, which has no one ID.
	Events []Identified `json:"events,omitempty"`
	// Bearer tells that the request proves knowledge of a token, and nothing of what
	// it carries.
	Bearer bool `json:"bearer,omitempty"`
	// Detail is our sentence, or what was wrong with the answer.
	Detail string `json:"detail,omitempty"`
}

// RunVectors judges a file of vectors: a JSON array of Vector. An error means
// that the file could not be read, not that a verdict disagrees.
func RunVectors(r io.Reader) ([]VectorResult, error) {
	var vectors []Vector
	if err := json.NewDecoder(r).Decode(&vectors); err != nil {
		return nil, fmt.Errorf("the vectors are no JSON array of the documented form: %w", err)
	}
	results := make([]VectorResult, len(vectors))
	for i := range vectors {
		results[i] = vectors[i].Run()
	}
	return results, nil
}

// Run judges one vector.
func (x *Vector) Run() VectorResult {
	res := VectorResult{ID: x.ID, Scheme: x.Scheme, Name: x.Name, Expect: x.Expect, Got: "valid"}
	answer, err := x.judge(&res)
	var f *verify.Failure
	switch {
	case errors.As(err, &f):
		res.Got, res.Detail = "invalid:"+string(f.Reason), f.Detail
	case err != nil:
		res.Got, res.Detail = "error", err.Error()
	}
	valid := res.Got == "valid"
	res.Agrees = res.Got != "error" && valid == (x.Expect == "valid")
	res.SameReason = res.Got == x.Expect
	if res.Agrees && x.ExpectResponse != nil {
		if wrong := x.ExpectResponse.compare(answer); wrong != "" {
			res.Agrees, res.Detail = false, wrong
		}
	}
	return res
}

// maxVectorBody bounds a body that is decompressed.
const maxVectorBody = 64 << 20

// judge takes the steps that the receiver takes, notes the event and gives the answer.
func (x *Vector) judge(res *VectorResult) (*verify.Answer, error) {
	v, err := x.verifier()
	if err != nil {
		return nil, err
	}
	r, err := x.request()
	if err != nil {
		return nil, err
	}
	o, err := x.options()
	if err != nil {
		return nil, err
	}
	if r, err = v.Decompress(r, maxVectorBody); err != nil {
		return nil, err
	}
	secrets := x.secrets()
	if a, err := v.Handshake(r, secrets, verify.Unsigned, o); a != nil || err != nil {
		return refusedAnswer(a, err)
	}
	if !v.IsEvent(r.Method) {
		return &verify.Answer{Status: http.StatusMethodNotAllowed}, verify.Refuse(verify.MalformedSignature, "no event of this sender comes by "+r.Method)
	}
	if err := v.Verify(r, secrets, o); err != nil {
		return &verify.Answer{Status: v.RejectStatus()}, err
	}
	if a, err := v.Handshake(r, secrets, verify.Signed, o); a != nil || err != nil {
		return refusedAnswer(a, err)
	}
	events, err := Identify(v, x.Scheme, r)
	if err != nil {
		return &verify.Answer{Status: http.StatusBadRequest}, err
	}
	res.Bearer = v.Traits().Bearer
	if len(events) == 1 {
		res.EventID, res.Type = events[0].EventID, events[0].Type
	} else {
		res.Events = events
	}
	ack := v.Profile().Ack
	return &verify.Answer{Status: max(ack.Status, 200), ContentType: ack.ContentType, Body: []byte(ack.Body)}, nil
}

func refusedAnswer(a *verify.Answer, err error) (*verify.Answer, error) {
	if err == nil && a.Refused != nil {
		return a, a.Refused
	}
	return a, err
}

// compare says what of an answer is not as expected.
func (want *VectorResponse) compare(got *verify.Answer) string {
	if got == nil {
		return "there was no answer"
	}
	if want.Status != got.Status {
		return fmt.Sprintf("the status is %d, not %d", got.Status, want.Status)
	}
	if want.ContentType != "" && want.ContentType != got.ContentType {
		return fmt.Sprintf("the content type is %q, not %q", got.ContentType, want.ContentType)
	}
	for name, value := range want.Headers {
		text := got.Headers[name]
		// CloudEvents lets a receiver answer * where it grants any rate or origin.
		if text != value && (text != "*" || !strings.HasPrefix(strings.ToLower(name), "webhook-allowed-")) {
			return fmt.Sprintf("the header %s is %q, not %q", name, text, value)
		}
	}
	if want.Body != nil && *want.Body != string(got.Body) {
		return fmt.Sprintf("the body is %q, not %q", got.Body, *want.Body)
	}
	return ""
}
