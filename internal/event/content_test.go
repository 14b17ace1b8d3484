package event_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/grapnel/grapnel/internal/event"
)

func TestTheJSONThatABodyHolds(t *testing.T) {
	const form = "application/x-www-form-urlencoded"
	for name, c := range map[string]struct{ kind, body, want string }{
		"JSON":                       {"application/json", `{"a":1}`, `{"a":1}`},
		"behind a byte order mark":   {"application/json", "\ufeff{}", "{}"},
		"in a form":                  {form, "payload=%7B%22a%22%3A1%7D", `{"a":1}`},
		"in a form with a charset":   {form + "; charset=utf-8", "payload=%7B%7D&x=1", "{}"},
		"not in a form of two":       {form, "payload=%7B%7D&payload=1", "payload=%7B%7D&payload=1"},
		"not where the field is not": {form, "payload=x", "payload=x"},
		"not in another kind":        {"text/plain", "payload=%7B%7D", "payload=%7B%7D"},
	} {
		t.Run(name, func(t *testing.T) {
			require.Equal(t, c.want, string(event.JSON(c.kind, []byte(c.body))))
		})
	}
}
