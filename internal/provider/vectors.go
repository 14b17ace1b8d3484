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

// Vector is a test vector: one request and the right verdict on it.
type Vector struct {
	ID       string `json:"id"`
	Provider string `json:"provider"`
	// Scheme is the name or an alias of a preset.
	Scheme     string            `json:"scheme"`
	Name       string            `json:"name"`
	Method     string            `json:"method"`
	Path       string            `json:"path"`
	Headers    map[string]string `json:"headers"`
	Body       string            `json:"body"`
	BodyBase64 string            `json:"body_base64"`
	Secrets    []string          `json:"secrets"`
	Config     VectorConfig      `json:"config"`
	// Now is the time of the request in Unix seconds; nil turns the timestamp window off.
	Now *int64 `json:"now"`
	// Expect is valid or invalid:<reason>. Only whether it is valid has to agree, not the reason.
	Expect         string          `json:"expect"`
	ExpectResponse *VectorResponse `json:"expect_response"`
}

// VectorConfig holds the settings of the source.
type VectorConfig struct {
	// URL is the public URL; by default https://example.com and the path.
	URL string `json:"url"`
	// Tolerance is in seconds. null turns the window off; without the key it is the preset's.
	Tolerance json.RawMessage `json:"tolerance"`
	// CertificatePEM is used instead of a certificate that would be fetched.
	CertificatePEM string `json:"certificate_pem"`
	WebhookID      string `json:"webhook_id"`
	TokenHeader    string `json:"token_header"`
	// KeyID is the sender's name for the key, or a list of a name for each secret.
	KeyID json.RawMessage `json:"key_id"`
	// Leeway is the leeway for the times in a token, in seconds.
	Leeway json.Number `json:"leeway"`
}

// VectorResponse is the answer that a handshake or an accepted event must get.
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
	// Got is the verdict, in the form of Expect.
	Got string `json:"got"`
	// Agrees tells whether valid or invalid is as expected, and the answer too.
	Agrees bool `json:"agrees"`
	// SameReason tells whether the reason is as expected, too.
	SameReason bool `json:"same_reason"`
	// EventID is the ID that the receiver would give the event of a valid vector, in a source
	// that is named as the scheme; empty for a handshake. Type is the type of the event.
	EventID string `json:"eventId,omitempty"`
	Type    string `json:"type,omitempty"`
	// Events are the events of a batch, which has no ID of its own.
	Events []Identified `json:"events,omitempty"`
	// Bearer tells that the request proves knowledge of a token, and nothing of what
	// it carries.
	Bearer bool `json:"bearer,omitempty"`
	// Detail is the sentence of the verdict, or says what was wrong with the answer.
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

// judge takes the same steps as the receiver, notes the event and gives the answer.
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

// compare says what in an answer is not as expected.
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
		// CloudEvents lets a receiver answer * to grant any rate or origin.
		if text != value && (text != "*" || !strings.HasPrefix(strings.ToLower(name), "webhook-allowed-")) {
			return fmt.Sprintf("the header %s is %q, not %q", name, text, value)
		}
	}
	if want.Body != nil && *want.Body != string(got.Body) {
		return fmt.Sprintf("the body is %q, not %q", got.Body, *want.Body)
	}
	return ""
}
