package pause

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"go.uber.org/zap"

	"github.com/grapnel/grapnel/internal/admin"
	"github.com/grapnel/grapnel/internal/destination"
	"github.com/grapnel/grapnel/internal/event"
)

// Endpoints show sources and destinations, and pause them. It implements
// admin.Endpoints.
type Endpoints struct {
	Board *Board
	// Sources are the sources in force, Destinations the states of destinations,
	// both in the order of their names.
	Sources      func() []Source
	Destinations func() []destination.State
}

// Source is what is shown of a source.
type Source struct {
	Name     string    `json:"name"`
	Provider string    `json:"provider,omitempty" doc:"the preset that its events are verified by"`
	Last     time.Time `json:"last_event,omitzero" doc:"when the last verified event came in, as this process knows"`
	Paused   *Paused   `json:"paused,omitempty"`
}

// Paused says why something is paused.
type Paused struct {
	Since  time.Time `json:"since"`
	Reason string    `json:"reason,omitempty"`
	Actor  string    `json:"actor,omitempty"`
}

// Destination is what is shown of a destination.
type Destination struct {
	destination.State

	Paused *Paused `json:"paused,omitempty"`
}

func (e Endpoints) paused(kind, name string) *Paused {
	p, ok := e.Board.Get(kind, name)
	if !ok {
		return nil
	}
	return &Paused{Since: p.Since, Reason: p.Reason, Actor: p.Actor}
}

type list[T any] struct {
	Body struct {
		Items []T `json:"items"`
	}
}

type change struct {
	Name string `path:"name"`
	Body struct {
		Reason string `json:"reason,omitempty" maxLength:"1000" doc:"why"`
		Actor  string `json:"actor,omitempty" maxLength:"200" doc:"who"`
	}
}

type answer struct {
	Status int
	Body   struct {
		Name      string `json:"name"`
		Paused    bool   `json:"paused"`
		Confirmed bool   `json:"confirmed" doc:"false while no worker runs that could put it into force"`
	}
}

// Register implements admin.Endpoints.
func (e Endpoints) Register(api huma.API) {
	huma.Register(api, huma.Operation{
		OperationID: "list-sources", Method: http.MethodGet, Path: "/sources", Summary: "List the sources",
	}, func(context.Context, *struct{}) (*list[Source], error) {
		out := &list[Source]{}
		out.Body.Items = []Source{}
		for _, s := range e.Sources() {
			s.Paused = e.paused(event.PauseSource, s.Name)
			out.Body.Items = append(out.Body.Items, s)
		}
		return out, nil
	})
	huma.Register(api, huma.Operation{
		OperationID: "list-destinations", Method: http.MethodGet, Path: "/destinations",
		Summary: "List the destinations, with the state that this process keeps of their circuits",
	}, func(context.Context, *struct{}) (*list[Destination], error) {
		out := &list[Destination]{}
		out.Body.Items = []Destination{}
		for _, d := range e.Destinations() {
			out.Body.Items = append(out.Body.Items, Destination{d, e.paused(event.PauseDestination, d.Name)})
		}
		return out, nil
	})
	for kind, has := range map[string]func(string) bool{event.PauseSource: e.hasSource, event.PauseDestination: e.hasDestination} {
		for verb, pause := range map[string]bool{"pause": true, "resume": false} {
			huma.Register(api, huma.Operation{
				OperationID: verb + "-" + kind, Method: http.MethodPost, Path: "/" + kind + "s/{name}/" + verb,
				Summary: verb + " a " + kind, DefaultStatus: http.StatusOK,
			}, func(ctx context.Context, in *change) (*answer, error) {
				// What is paused stays so when the file drops it, and can be resumed.
				if _, paused := e.Board.Get(kind, in.Name); !paused && !has(in.Name) {
					return nil, huma.Error404NotFound("there is no " + kind + " " + in.Name)
				}
				return e.set(ctx, kind, pause, in)
			})
		}
	}
}

func (e Endpoints) set(ctx context.Context, kind string, pause bool, in *change) (*answer, error) {
	admin.Audit(ctx, zap.String(kind, in.Name), zap.Bool("paused", pause), zap.String("reason", in.Body.Reason), zap.String("actor", in.Body.Actor))
	err := e.Board.Set(ctx, kind, in.Name, event.PauseChange{
		Paused: pause, Pause: event.Pause{Reason: in.Body.Reason, Actor: in.Body.Actor},
	})
	out := &answer{Status: http.StatusOK}
	out.Body.Name, out.Body.Paused, out.Body.Confirmed = in.Name, pause, true
	switch {
	case errors.Is(err, ErrUnconfirmed):
		out.Status, out.Body.Confirmed = http.StatusAccepted, false
	case err != nil:
		return nil, huma.Error503ServiceUnavailable(err.Error())
	}
	return out, nil
}

func (e Endpoints) hasSource(name string) bool {
	for _, s := range e.Sources() {
		if s.Name == name {
			return true
		}
	}
	return false
}

func (e Endpoints) hasDestination(name string) bool {
	for _, d := range e.Destinations() {
		if d.Name == name {
			return true
		}
	}
	return false
}
