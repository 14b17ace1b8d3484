package destination_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/grapnel/grapnel/internal/destination"
	"github.com/grapnel/grapnel/internal/secret"
)

// shaped delivers a body to a destination with a transform and gives what came.
func shaped(t *testing.T, tr destination.Transform, body string) (seen, error) {
	t.Helper()
	srv, requests := answer(t, func(http.ResponseWriter, *http.Request) {})
	d, err := destination.New(&destination.Spec{
		Name: "crm", Transform: &tr, AllowPrivate: []string{"127.0.0.1"},
		HTTP: &destination.HTTP{URL: secret.New(srv.URL), Secrets: []secret.Secret{secret.New(whsec(shortKey))}},
	}, destination.Deps{})
	require.NoError(t, err)
	t.Cleanup(d.Close)
	if err := d.Deliver(t.Context(), destination.Delivery{Event: sample, Body: []byte(body), Attempt: 1}); err != nil {
		require.Empty(t, requests, "nothing is sent")
		return seen{}, err
	}
	return <-requests, nil
}

func TestATransformShapesWhatGoesOutAndThatIsSigned(t *testing.T) {
	for name, c := range map[string]struct {
		transform         destination.Transform
		body, contentType string
		header            map[string]string
	}{
		"an object": {
			transform: destination.Transform{Body: `{'type': type, 'n': body.big, 'all': body.list}`},
			body:      `{"all":[1.10,{"a":2,"z":1}],"n":9007199254740993,"type":"meeting.started"}`, contentType: "application/json",
		},
		"a text as it is": {
			transform: destination.Transform{Body: `'<x>' + body.s + '</x>'`, ContentType: "application/xml"},
			body:      "<x>é\n</x>", contentType: "application/xml",
		},
		"bytes as they are": {
			transform: destination.Transform{Body: `base64.decode('AP8=')`},
			body:      "\x00\xff", contentType: "application/octet-stream",
		},
		"headers alone leave the body": {
			transform: destination.Transform{Headers: map[string]string{
				"X-Type": "type", "x-n": "body.big", "X-None": "body.?nothing", "Idempotency-Key": "id",
			}},
			body: shapedBody, contentType: sample.DataContentType,
			header: map[string]string{
				"X-Type": "meeting.started", "X-N": "9007199254740993", "X-None": "", "Idempotency-Key": sample.ID,
			},
		},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := shaped(t, c.transform, shapedBody)
			require.NoError(t, err)
			require.Equal(t, c.body, string(got.body))
			require.Equal(t, c.contentType, got.header.Get("Content-Type"))
			for name, value := range c.header {
				require.Equal(t, value, got.header.Get(name), name)
			}
			require.Equal(t, expected(got.header, got.body, shortKey), got.header.Get("Webhook-Signature"))
		})
	}
}

const shapedBody = `{"big":9007199254740993,"list":[1.10,{"z":1,"a":2}],"s":"é\n","evil":"x\r\nWebhook-Id: forged"}`

func TestATransformThatFailsIsForGoodAndSaysNothingOfTheDestination(t *testing.T) {
	for name, c := range map[string]struct {
		transform destination.Transform
		why       string
	}{
		"a field that is not there": {destination.Transform{Body: `{'a': body.nothing}`}, "transform.body: no such key: nothing"},
		"a header with a line break": {
			destination.Transform{Headers: map[string]string{"X-A": "body.evil"}},
			"transform.headers.X-A: it gives characters that no header may hold",
		},
		"a header that is an object": {destination.Transform{Headers: map[string]string{"X-A": "body"}}, "it gives a map"},
		"a header that is too long": {
			destination.Transform{Headers: map[string]string{"X-A": "[" + strings.Repeat("id,", 200) + "''].join('')"}}, "more than 8 KiB",
		},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := shaped(t, c.transform, shapedBody)
			var failed *destination.Error
			require.ErrorAs(t, err, &failed)
			require.True(t, failed.Permanent && failed.Unsent)
			require.ErrorContains(t, err, "destination crm: nothing was sent: ")
			require.ErrorContains(t, err, c.why)
			require.Contains(t, failed.Reason(), "nothing was sent: transform.")
		})
	}
}

func TestEventsThatCannotBeShapedOpenNoCircuit(t *testing.T) {
	spec := &destination.Spec{Name: "crm", HTTP: &destination.HTTP{URL: secret.New("https://crm.example.com")}}
	spec.SetDefaults()
	spec.Transform = &destination.Transform{Body: "body.nothing"}
	d, err := destination.New(spec, destination.Deps{})
	require.NoError(t, err)
	t.Cleanup(d.Close)
	for range 2 * spec.Breaker.MinCalls {
		require.ErrorContains(t, d.Deliver(t.Context(), destination.Delivery{Event: sample, Body: []byte("{}")}), "nothing was sent")
	}
	require.Equal(t, "closed", d.State().Circuit)
}
