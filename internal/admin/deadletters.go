package admin

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"go.uber.org/zap"

	"github.com/grapnel/grapnel/internal/deadletter"
	"github.com/grapnel/grapnel/internal/event"
)

// DeadLetters are the endpoints for dead letters and for operations on them.
type DeadLetters struct{ Store *deadletter.Store }

// FilterQuery is a filter in the query of a URL. Like every struct that inputs embed it is
// exported, because huma ignores unexported ones.
type FilterQuery struct {
	Source  string    `query:"source" doc:"name of the source; * stands for any text, here and below"`
	Type    string    `query:"type" doc:"type of the event"`
	Subject string    `query:"subject" doc:"what the event is about"`
	Route   string    `query:"route" doc:"a route that is still to do"`
	Reason  string    `query:"reason" doc:"why the event is dead"`
	Error   string    `query:"error" doc:"text that the error has in it"`
	Since   time.Time `query:"since" doc:"last failed at this time or later"`
	Until   time.Time `query:"until" doc:"last failed before this time"`
}

func (f FilterQuery) filter() event.Filter {
	return event.Filter{
		Source: f.Source, Type: f.Type, Subject: f.Subject, Route: f.Route, Reason: f.Reason, Error: f.Error,
		Since: f.Since, Until: f.Until,
	}
}

// letterID is the path of one dead letter.
type letterID struct {
	ID string `path:"id" doc:"the event's ID"`
}

// OperationPath is the path of one operation.
type OperationPath struct {
	ID string `path:"id" doc:"the operation's ID"`
}

// Register implements Endpoints.
func (d DeadLetters) Register(api huma.API) {
	tags := []string{"dead letters"}
	huma.Register(api, huma.Operation{
		OperationID: "list-dead-letters", Method: http.MethodGet, Path: "/dead-letters", Tags: tags,
		Summary: "List dead letters, the latest first",
	}, d.list)
	huma.Register(api, huma.Operation{
		OperationID: "group-dead-letters", Method: http.MethodGet, Path: "/dead-letters/groups", Tags: tags,
		Summary: "Count dead letters by what they share",
	}, d.groups)
	huma.Register(api, huma.Operation{
		OperationID: "get-dead-letter", Method: http.MethodGet, Path: "/dead-letters/{id}", Tags: tags,
		Summary: "A dead letter in full, discarded ones included",
	}, d.get)
	huma.Register(api, huma.Operation{
		OperationID: "get-dead-letter-body", Method: http.MethodGet, Path: "/dead-letters/{id}/body", Tags: tags,
		Summary: "The body that a replay would hand over, byte for byte",
		Responses: map[string]*huma.Response{"200": {
			Description: "the body", Content: map[string]*huma.MediaType{"application/octet-stream": {}},
		}},
	}, d.body)
	tags = []string{"operations"}
	huma.Register(api, huma.Operation{
		OperationID: "begin-operation", Method: http.MethodPost, Path: "/operations", Tags: tags, DefaultStatus: http.StatusAccepted,
		Summary: "Replay or discard dead letters, or tell what that would do", MaxBodyBytes: maxOperationBytes,
	}, d.begin)
	huma.Register(api, huma.Operation{
		OperationID: "list-operations", Method: http.MethodGet, Path: "/operations", Tags: tags,
		Summary: "List operations, the latest first",
	}, d.operations)
	huma.Register(api, huma.Operation{
		OperationID: "get-operation", Method: http.MethodGet, Path: "/operations/{id}", Tags: tags,
		Summary: "Look up an operation", Description: "The keys of counts: " + becameText(),
	}, d.operation)
	huma.Register(api, huma.Operation{
		OperationID: "list-operation-items", Method: http.MethodGet, Path: "/operations/{id}/items", Tags: tags,
		Summary: "What became of each dead letter of an operation", Description: "The values of became: " + becameText(),
	}, d.items)
	for _, do := range []string{"pause", "resume", "cancel"} {
		huma.Register(api, huma.Operation{
			OperationID: do + "-operation", Method: http.MethodPost, Path: "/operations/{id}/" + do, Tags: tags,
			Summary: "Tell an operation to " + do, DefaultStatus: http.StatusAccepted,
		}, d.control(do))
	}
}

// becameText lists the values of event.Became with their words, for the OpenAPI document.
func becameText() string {
	var all []string
	for _, became := range event.EveryBecame() {
		switch {
		case became == event.BecameNothing:
		case became.Words() == string(became):
			all = append(all, "`"+string(became)+"`")
		default:
			all = append(all, "`"+string(became)+"` ("+became.Words()+")")
		}
	}
	return strings.Join(all, ", ") + "."
}

// storeProblem makes an answer of an error of the store.
func storeProblem(err error) error {
	switch {
	case errors.Is(err, deadletter.ErrGone):
		return huma.Error404NotFound(err.Error())
	case errors.Is(err, deadletter.ErrTooLate):
		return huma.Error409Conflict(err.Error())
	case errors.Is(err, deadletter.ErrCursor), errors.Is(err, deadletter.ErrKeyUsed), errors.Is(err, deadletter.ErrRequest):
		return huma.Error422UnprocessableEntity(err.Error())
	default:
		return huma.Error503ServiceUnavailable("Temporal does not answer: " + err.Error())
	}
}

type lettersPage struct {
	Body struct {
		Letters []deadletter.Summary `json:"dead_letters"`
		Next    string               `json:"next,omitempty" doc:"the cursor of the next page; absent on the last page"`
	}
}

func (d DeadLetters) list(ctx context.Context, in *struct {
	FilterQuery
	Limit  int    `query:"limit" default:"100" minimum:"1" maximum:"1000" doc:"the most dead letters of a page"`
	Cursor string `query:"cursor" doc:"the previous page's next"`
},
) (*lettersPage, error) {
	letters, next, err := d.Store.ListPage(ctx, in.filter(), in.Limit, in.Cursor)
	if err != nil {
		return nil, storeProblem(err)
	}
	out := &lettersPage{}
	out.Body.Letters, out.Body.Next = letters, next
	return out, nil
}

type letterGroups struct {
	Body struct {
		Groups []deadletter.Group `json:"groups"`
		Total  int                `json:"total" doc:"dead letters in all groups; one with several routes counts once"`
		Cut    bool               `json:"cut" doc:"whether there are more than could be looked at"`
	}
}

func (d DeadLetters) groups(ctx context.Context, in *struct {
	FilterQuery
	By string `query:"by" enum:"reason,route,source,type,day" default:"reason" doc:"what they share"`
},
) (*letterGroups, error) {
	listing, err := d.Store.List(ctx, in.filter())
	if err != nil {
		return nil, storeProblem(err)
	}
	out := &letterGroups{}
	out.Body.Groups, out.Body.Total, out.Body.Cut = deadletter.GroupBy(listing.Letters, in.By), len(listing.Letters), listing.Cut
	return out, nil
}

type wholeLetter struct{ Body deadletter.Full }

func (d DeadLetters) get(ctx context.Context, in *letterID) (*wholeLetter, error) {
	l, err := d.Store.Get(ctx, in.ID)
	if err != nil {
		return nil, storeProblem(err)
	}
	return &wholeLetter{Body: l}, nil
}

type letterBody struct {
	ContentType string `header:"Content-Type"`
	Corrected   string `header:"Grapnel-Corrected"`
	Body        []byte
}

// body serves the sender's bytes as a download, because a browser must not show a stranger's text
// as one of our pages.
func (d DeadLetters) body(ctx context.Context, in *letterID) (*letterBody, error) {
	l, err := d.Store.Get(ctx, in.ID)
	if err != nil {
		return nil, storeProblem(err)
	}
	out := &letterBody{ContentType: "application/octet-stream", Body: l.Body}
	if c := l.Letter.Correction; c != nil {
		out.Body, out.Corrected = l.Corrected, c.At.UTC().Format(time.RFC3339)
	}
	return out, nil
}

// maxOperationBytes bounds the request for an operation, which holds a corrected body in base64, or
// IDs.
const maxOperationBytes = 4 << 20

// operationRequest is the request for an operation.
type operationRequest struct {
	Action event.Action `json:"action" enum:"replay,discard"`
	Filter event.Filter `json:"filter,omitempty" doc:"which dead letters to act on"` //nolint:modernize // It makes the member optional in the document.
	IDs    []string     `json:"ids,omitempty" doc:"their IDs"`
	DryRun bool         `json:"dry_run,omitempty" doc:"tell what it would do, and do nothing"`
	Rate   float64      `json:"rate,omitempty" minimum:"0" doc:"the most events a second; 0 means 50"`
	Share  float64      `json:"stop_share,omitempty" minimum:"0" doc:"stop when more than this part of the last 20 fail again; 0 is 0.5, 1 never stops"`
	Reason string       `json:"reason,omitempty" maxLength:"1000" doc:"why, for the record; required with a filter"`
	Actor  string       `json:"actor,omitempty" maxLength:"200" doc:"who, for the record"`
	Body   []byte       `json:"body,omitempty" doc:"replaces the body of the only ID, in base64"`
}

// operationAnswer is an operation that has begun, or the plan of a dry run.
type operationAnswer struct {
	Body struct {
		ID   string           `json:"id,omitempty" doc:"the ID of the operation that was started"`
		Plan *deadletter.Plan `json:"plan,omitempty" doc:"the plan of a dry run"`
	}
}

func (d DeadLetters) begin(ctx context.Context, in *struct {
	Key  string `header:"Idempotency-Key" maxLength:"200" doc:"requests with the same key start one operation only"`
	Body operationRequest
},
) (*operationAnswer, error) {
	q := in.Body
	op := event.Operation{
		Action: q.Action, Filter: q.Filter, Rate: q.Rate, Share: q.Share, Body: q.Body,
		Deed: event.Deed{Actor: q.Actor, Reason: q.Reason},
	}
	op.Filter.IDs = append(op.Filter.IDs, q.IDs...)
	if op.Actor == "" {
		op.Actor = "admin API"
	}
	Audit(ctx, zap.String("action", string(op.Action)), zap.String("actor", op.Actor), zap.String("reason", op.Reason),
		zap.Any("filter", op.Filter), zap.Bool("dry run", q.DryRun))
	switch f := op.Filter; {
	case f.Empty() && f.Limit == 0:
		return nil, huma.Error422UnprocessableEntity("give IDs or a filter, to say which dead letters to act on")
	case len(f.IDs) == 0 && op.Reason == "" && !q.DryRun:
		return nil, huma.Error422UnprocessableEntity("give a reason; it is kept with every event")
	}
	out := &operationAnswer{}
	if q.DryRun {
		plan, err := d.Store.Plan(ctx, op)
		if err != nil {
			return nil, storeProblem(err)
		}
		out.Body.Plan = &plan
		return out, nil
	}
	id, err := d.Store.Begin(ctx, op, in.Key)
	if err != nil {
		return nil, storeProblem(err)
	}
	Audit(ctx, zap.String("operation", id))
	out.Body.ID = id
	return out, nil
}

type operationList struct {
	Body struct {
		Operations []deadletter.Status `json:"operations"`
	}
}

func (d DeadLetters) operations(ctx context.Context, in *struct {
	Limit int `query:"limit" default:"50" minimum:"1" maximum:"500"`
},
) (*operationList, error) {
	all, err := d.Store.Operations(ctx, in.Limit)
	if err != nil {
		return nil, storeProblem(err)
	}
	out := &operationList{}
	out.Body.Operations = all
	return out, nil
}

type oneOperation struct{ Body deadletter.Status }

func (d DeadLetters) operation(ctx context.Context, in *OperationPath) (*oneOperation, error) {
	st, err := d.Store.Operation(ctx, in.ID)
	if err != nil {
		return nil, storeProblem(err)
	}
	return &oneOperation{Body: st}, nil
}

type operationItems struct {
	Body struct {
		Items []deadletter.ItemStatus `json:"items"`
		Total int                     `json:"total"`
	}
}

func (d DeadLetters) items(ctx context.Context, in *struct {
	OperationPath
	From  int `query:"from" default:"0" minimum:"0" doc:"number of the first"`
	Limit int `query:"limit" default:"500" minimum:"1" maximum:"5000"`
},
) (*operationItems, error) {
	st, err := d.Store.Operation(ctx, in.ID)
	if err != nil {
		return nil, storeProblem(err)
	}
	items, err := d.Store.Items(ctx, in.ID, in.From, in.Limit)
	if err != nil {
		return nil, storeProblem(err)
	}
	out := &operationItems{}
	out.Body.Items, out.Body.Total = items, st.Total
	return out, nil
}

type controlRequest struct {
	OperationPath
	Body *struct {
		Actor  string `json:"actor,omitempty" maxLength:"200" doc:"who, for the record"`
		Reason string `json:"reason,omitempty" maxLength:"1000" doc:"why, for the record"`
	}
}

func (d DeadLetters) control(do string) func(context.Context, *controlRequest) (*struct{}, error) {
	return func(ctx context.Context, in *controlRequest) (*struct{}, error) {
		c := event.Control{Do: do, Deed: event.Deed{Actor: "admin API"}}
		if in.Body != nil {
			c.Reason = in.Body.Reason
			if in.Body.Actor != "" {
				c.Actor = in.Body.Actor
			}
		}
		Audit(ctx, zap.String("operation", in.ID), zap.String("actor", c.Actor), zap.String("reason", c.Reason))
		if err := d.Store.Control(ctx, in.ID, c); err != nil {
			return nil, storeProblem(err)
		}
		return nil, nil //nolint:nilnil // The answer has no body.
	}
}
