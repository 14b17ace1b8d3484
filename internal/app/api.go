package app

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/grapnel/grapnel/internal/admin"
	"github.com/grapnel/grapnel/internal/alert"
	"github.com/grapnel/grapnel/internal/eventlog"
	"github.com/grapnel/grapnel/internal/pause"
)

// watchAPI is the read-only part of the REST API: alerts and events.
type watchAPI struct {
	alerts *alert.Watch
	events *eventlog.Log
}

// alertsAnswer is the answer of /alerts.
type alertsAnswer struct {
	Body struct {
		Active []alert.Alert `json:"active" doc:"alerts that are on, the most urgent first"`
		Past   []alert.Alert `json:"past" doc:"alerts that have ended, the latest first"`
	}
}

// eventsQuery is the filter of /events.
type eventsQuery struct {
	Source  string    `query:"source"`
	Type    string    `query:"type" doc:"meeting.* matches all types that begin with meeting."`
	Subject string    `query:"subject"`
	State   string    `query:"state" enum:"running,handled,dead,discarded,broken"`
	Since   time.Time `query:"since"`
	Until   time.Time `query:"until"`
	Limit   int       `query:"limit" minimum:"1" maximum:"1000" default:"100"`
}

// eventsAnswer is the answer of /events.
type eventsAnswer struct {
	Body struct {
		Events []eventlog.Row `json:"events"`
		More   bool           `json:"more" doc:"whether there are older events; to get them, set until to the time of the last one"`
	}
}

// eventAnswer is the answer of /events/{id}.
type eventAnswer struct{ Body eventlog.Story }

// Register implements admin.Endpoints.
func (w watchAPI) Register(api huma.API) {
	huma.Register(api, huma.Operation{
		OperationID: "list-alerts", Method: http.MethodGet, Path: "/alerts", Summary: "Alerts that are on, and past ones", Tags: []string{"alerts"},
	}, func(context.Context, *struct{}) (*alertsAnswer, error) {
		out := &alertsAnswer{}
		out.Body.Active, out.Body.Past = w.alerts.Active(), w.alerts.Past()
		return out, nil
	})
	huma.Register(api, huma.Operation{
		OperationID: "list-events", Method: http.MethodGet, Path: "/events", Summary: "Events, the latest first", Tags: []string{"events"},
	}, func(ctx context.Context, q *eventsQuery) (*eventsAnswer, error) {
		rows, more, err := w.events.List(ctx, eventlog.Filter{
			Source: q.Source, Type: q.Type, Subject: q.Subject, State: eventlog.State(q.State), Since: q.Since, Until: q.Until, Limit: q.Limit,
		})
		if err != nil {
			return nil, huma.Error502BadGateway(err.Error())
		}
		out := &eventsAnswer{}
		out.Body.Events, out.Body.More = rows, more
		return out, nil
	})
	huma.Register(api, huma.Operation{
		OperationID: "show-event", Method: http.MethodGet, Path: "/events/{id}", Summary: "One event: routes, attempts, what it waits for", Tags: []string{"events"},
	}, func(ctx context.Context, in *struct {
		ID string `path:"id" pattern:"^[0-9a-f]{64}$"`
	},
	) (*eventAnswer, error) {
		f, err := w.events.Show(ctx, in.ID)
		switch {
		case errors.Is(err, eventlog.ErrUnknown):
			return nil, huma.Error404NotFound(err.Error())
		case err != nil:
			return nil, huma.Error502BadGateway(err.Error())
		}
		return &eventAnswer{*f}, nil
	})
}

// OpenAPI returns the OpenAPI document of the admin listener's REST API; docs/openapi.json is a
// copy.
func OpenAPI() ([]byte, error) {
	text, err := admin.OpenAPI(admin.DeadLetters{}, watchAPI{}, pause.Endpoints{})
	if err != nil {
		return nil, err
	}
	var out bytes.Buffer
	if err := json.Indent(&out, text, "", "  "); err != nil {
		return nil, fmt.Errorf("write the OpenAPI document: %w", err)
	}
	out.WriteByte('\n')
	return out.Bytes(), nil
}
