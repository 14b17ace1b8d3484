package handlertest

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"testing"
	"time"

	"github.com/grapnel/grapnel/activities/handler"
	"github.com/grapnel/grapnel/internal/event"
	"github.com/grapnel/grapnel/internal/provider"
)

// Event makes an event with a payload, as a handler receives it at its first attempt. It is for
// tests that call the handler themselves. The body is the payload as JSON, or the payload itself
// if it is bytes. The test sets whatever else it needs.
func Event[T any](payload T) handler.Event[T] {
	body, _ := any(payload).([]byte)
	if body == nil {
		body, _ = json.Marshal(payload) // What can't be written has no body.
	}
	return handler.Event[T]{
		Attributes: handler.Attributes{
			ID: event.IDByBody("test", body), Source: "test", DataContentType: "application/json",
			Received: time.Now().UTC(),
		},
		Payload: payload, Body: body, Attempt: 1,
	}
}

// Sample makes a realistic event of a sender, as a handler receives it at its first attempt.
// provider is one that `grapnel providers` lists. An empty type stands for the first of which
// grapnel has a sample.
func Sample[T any](t testing.TB, provider, typ string) handler.Event[T] {
	t.Helper()
	attributes, body := sampleOf(t, provider, typ)
	var got handler.Event[T]
	table := &handler.Table{}
	handler.On(table, "*", "*", func(_ context.Context, e handler.Event[T]) error {
		got = e
		return nil
	}, handler.Name("handlertest/sample"))
	if err := table.All()[0].Run(t.Context(), attributes, 1, body); err != nil {
		t.Fatalf("handlertest: %v\n%s", err, body)
	}
	return got
}

// sampleOf makes a sample that is not signed, and reads its attributes as the receiver does.
func sampleOf(t testing.TB, name, typ string) (handler.Attributes, []byte) {
	t.Helper()
	now := time.Now().UTC()
	v, err := verifierOf(name)
	if err != nil {
		t.Fatalf("handlertest: %v", err)
	}
	s, err := provider.NewSample(name, typ, rand.Text(), now)
	if err != nil {
		t.Fatalf("handlertest: %v", err)
	}
	said := v.Identify(requestOf(s, "https://grapnel.test/webhooks/"+name))
	return handler.Attributes{
		ID: event.IDByBody(name, s.Body), Source: name, Type: said.Type, SenderID: said.ID, Subject: said.Subject,
		Time: said.Time, DataContentType: s.ContentType, Received: now,
	}, s.Body
}
