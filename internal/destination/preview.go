package destination

import (
	"context"
	"net/http"
	"strings"

	"github.com/grapnel/grapnel/internal/event"
)

// Preview is what a delivery would send, without secrets.
type Preview struct {
	// Does is the delivery in a few words: POST and an address, or a call of a workflow.
	Does string `json:"does"`
	// Headers are those of an HTTP request.
	Headers map[string]string `json:"headers,omitempty"`
	// Body is the body, or the arguments of a workflow, a line each.
	Body []byte `json:"-"`
}

// previewer is implemented by kinds that can say what they would send.
type previewer interface {
	preview(ctx context.Context, d Delivery) (*Preview, error)
}

// Preview says what an attempt would send, and sends nothing.
func (d *Destination) Preview(ctx context.Context, one Delivery) (*Preview, error) {
	one, err := d.shape.apply(ctx, one)
	if err != nil {
		return nil, err
	}
	if k, ok := d.kind.(previewer); ok {
		return k.preview(ctx, one)
	}
	return &Preview{Does: d.Target(), Body: one.Body}, nil
}

// shownHeader tells whether a header may be shown: it describes the event, or every delivery has
// it.
func shownHeader(name string) bool {
	return strings.HasPrefix(name, "Ce-") || strings.HasPrefix(name, "Grapnel-") || name == "User-Agent" || name == "Webhook-Id" ||
		name == "Webhook-Timestamp" || strings.HasPrefix(name, "Content-")
}

func (h *httpDestination) preview(_ context.Context, d Delivery) (*Preview, error) {
	_, body := d.outgoing()
	p := &Preview{Does: http.MethodPost + " " + h.shown, Headers: map[string]string{}, Body: body}
	header := h.headers(d)
	if h.tokens != nil {
		header.Set(authorization, "a token")
	}
	for name, values := range header {
		_, ofEvent := d.Shape.header()[name]
		switch {
		case len(values) == 0:
		case ofEvent || shownHeader(name):
			p.Headers[name] = event.Clean(strings.Join(values, ", "), maxHeaderValue)
		default:
			p.Headers[name] = "***"
		}
	}
	return p, nil
}
