package destination

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"

	commonpb "go.temporal.io/api/common/v1"
	"go.temporal.io/sdk/converter"

	"github.com/grapnel/grapnel/internal/event"
	"github.com/grapnel/grapnel/internal/expression"
)

// workflowCall is the call that one delivery makes of its workflow.
type workflowCall struct {
	// request is the ID by which Temporal recognises repeats of the call.
	request string
	id, typ string
	// verb is the name of the signal or update; empty without one.
	verb string
	// input holds the arguments of the signal or update, or of the start where there is neither;
	// startInput those of a start that goes with a signal or update.
	input, startInput *commonpb.Payloads
}

// deliveryHeader is the header that holds the delivery's ID in the other workflow's history.
const deliveryHeader = "grapnel-delivery"

func (c *workflowCall) header() *commonpb.Header {
	return &commonpb.Header{Fields: map[string]*commonpb.Payload{deliveryHeader: jsonPayload(jsonText(c.request))}}
}

// of tells whether a header holds the ID of this call.
func (c *workflowCall) of(h *commonpb.Header) bool {
	return bytes.Equal(h.GetFields()[deliveryHeader].GetData(), jsonText(c.request))
}

// call evaluates the templates of a delivery.
func (f *workflowDestination) call(d Delivery) (*workflowCall, error) {
	in := expression.NewInput(d.Event, d.Body)
	c := &workflowCall{request: webhookID(d.Event.ID, f.name)}
	for _, one := range []struct {
		path string
		from *expression.Template
		to   *string
	}{{"id", f.id, &c.id}, {"type", f.typ, &c.typ}, {"signal or update", f.verb, &c.verb}} {
		if one.from == nil {
			continue
		}
		text, err := one.from.Text(in)
		if err != nil {
			return nil, fmt.Errorf("the %s of its workflow can't be made: %w", one.path, err)
		}
		*one.to = text
	}
	var err error
	if c.input, err = encodeArguments("args", f.args, in); err != nil {
		return nil, err
	}
	if f.args == nil {
		whole, err := wholeEvent(d)
		if err != nil {
			return nil, err
		}
		c.input = &commonpb.Payloads{Payloads: []*commonpb.Payload{jsonPayload(whole)}}
	}
	if c.startInput, err = encodeArguments("start_args", f.startArgs, in); err != nil {
		return nil, err
	}
	return c, c.fits()
}

// maxInput is how many bytes the arguments of one call may have: Temporal's bound, less room for
// what stands around them.
const maxInput = 2<<20 - 4<<10

func (c *workflowCall) fits() error {
	for _, in := range []*commonpb.Payloads{c.input, c.startInput} {
		size := 0
		for _, p := range in.GetPayloads() {
			size += len(p.GetData())
		}
		if size > maxInput {
			return fmt.Errorf("its arguments have %d bytes, and Temporal takes 2 MiB; make them smaller by workflow.args or transform.body", size)
		}
	}
	return nil
}

func encodeArguments(path string, list []*expression.Template, in *expression.Input) (*commonpb.Payloads, error) {
	all := &commonpb.Payloads{}
	for i, t := range list {
		value, err := t.JSON(in)
		if err != nil {
			return nil, fmt.Errorf("argument %d of %s can't be made: %w", i+1, path, err)
		}
		all.Payloads = append(all.Payloads, jsonPayload(value))
	}
	return all, nil
}

// wholeEvent makes the argument that a workflow gets by default: the event's attributes, and its
// body as data if it is JSON, else as data_base64.
func wholeEvent(d Delivery) ([]byte, error) {
	e, body := d.outgoing()
	whole := struct {
		event.Event
		Data   json.RawMessage `json:"data,omitempty"`
		Base64 []byte          `json:"data_base64,omitempty"`
	}{Event: e}
	if json.Valid(body) && e.DataContentEncoding == "" {
		whole.Data = body
	} else {
		whole.Base64 = body
	}
	var out bytes.Buffer
	encoder := json.NewEncoder(&out)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(whole); err != nil {
		return nil, errors.New("the event can't be written as JSON")
	}
	return bytes.TrimSuffix(out.Bytes(), []byte("\n")), nil
}

func jsonText(s string) []byte {
	text, _ := json.Marshal(s) // A text always encodes.
	return text
}

func jsonPayload(data []byte) *commonpb.Payload {
	return &commonpb.Payload{
		Metadata: map[string][]byte{converter.MetadataEncoding: []byte(converter.MetadataEncodingJSON)}, Data: data,
	}
}
