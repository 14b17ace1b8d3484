package destination

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"mime"
	"net/http"
	"slices"
	"strings"

	"cel.dev/cel-go/common/types"
	"golang.org/x/net/http/httpguts"

	"github.com/grapnel/grapnel/internal/expression"
)

// Transform says what is sent instead of the body as it came. Its values are expressions in CEL
// over the event.
type Transform struct {
	// Body gives the body to send. A text or bytes are sent as they are, any other value as JSON
	// with its members in the order of their names.
	Body string `yaml:"body"`
	// ContentType is the media type of that body. The default follows from what Body gives.
	ContentType string `yaml:"content_type"`
	// Headers give the values of headers that are added. A header whose value is null is left
	// out.
	Headers map[string]string `yaml:"headers"`
}

// transformer is a compiled Transform. A nil one changes nothing.
type transformer struct {
	body        *expression.Program
	contentType string
	headers     map[string]*expression.Program
}

// compile compiles the expressions. Its error names the setting.
func (t *Transform) compile() (*transformer, error) {
	if t == nil {
		return nil, nil //nolint:nilnil // Nothing to do is no fault.
	}
	s := &transformer{contentType: t.ContentType, headers: map[string]*expression.Program{}}
	var err error
	if t.Body != "" {
		if s.body, err = expression.Value(t.Body); err != nil {
			return nil, fmt.Errorf("transform.body: %w", err)
		}
	}
	for name, text := range t.Headers {
		if err := checkName(name); err != nil {
			return nil, fmt.Errorf("transform.headers.%s: %w", name, err)
		}
		if s.headers[http.CanonicalHeaderKey(name)], err = expression.Value(text); err != nil {
			return nil, fmt.Errorf("transform.headers.%s: %w", name, err)
		}
	}
	return s, nil
}

// check reports each expression that can't be used at its own setting.
func (t *Transform) check(s *Spec, r Report) {
	if t == nil {
		return
	}
	if t.Body == "" && len(t.Headers) == 0 && !r.Broken("transform") {
		r.Fault("transform", "changes nothing; give it a body or headers, or remove it")
	}
	if t.Body != "" {
		if _, err := expression.Value(t.Body); err != nil {
			r.Fault("transform.body", err.Error())
		}
	}
	t.checkContentType(r)
	seen := map[string]bool{}
	if s.HTTP != nil {
		for name := range s.HTTP.Headers {
			seen[http.CanonicalHeaderKey(name)] = true
		}
	}
	for _, name := range slices.Sorted(maps.Keys(t.Headers)) {
		path := "transform.headers." + name
		if err := checkName(name); err != nil {
			r.Fault(path, err.Error())
			continue
		}
		if seen[http.CanonicalHeaderKey(name)] {
			r.Fault(path, "is set twice; headers are the same however their letters are written, and those under http.headers count too")
		}
		seen[http.CanonicalHeaderKey(name)] = true
		if _, err := expression.Value(t.Headers[name]); err != nil {
			r.Fault(path, err.Error())
		}
	}
}

func (t *Transform) checkContentType(r Report) {
	if t.ContentType == "" {
		return
	}
	if _, _, err := mime.ParseMediaType(t.ContentType); err != nil || !strings.Contains(t.ContentType, "/") || !httpguts.ValidHeaderFieldValue(t.ContentType) {
		r.Fault("transform.content_type", "must be a media type such as application/json")
	}
	if t.Body == "" {
		r.Fault("transform.content_type", "has no effect without transform.body; add one or remove it")
	}
}

// checkName tells what is wrong with the name of a header whose value comes from an event. A
// sender must have no say in the headers that sign, frame or authorise a delivery.
func checkName(name string) error {
	key := http.CanonicalHeaderKey(name)
	credential := slices.Contains([]string{"Authorization", "Cookie", "Keep-Alive"}, key) || strings.HasPrefix(key, "Proxy-")
	switch {
	case !httpguts.ValidHeaderFieldName(name):
		return errors.New("is no name of a header; it has letters, digits and dashes")
	case slices.Contains(ownHeaders(), key), strings.HasPrefix(key, "Ce-"), strings.HasPrefix(key, "Webhook-"):
		return errors.New("is set by the delivery itself; take it out")
	case credential:
		return errors.New("must not come from what a sender sends; take it out")
	}
	return nil
}

// maxHeaderValue is the greatest length in bytes of a header value that an expression gives.
const maxHeaderValue = 8 << 10

// apply evaluates the expressions and puts the result into the delivery.
func (s *transformer) apply(ctx context.Context, d Delivery) (Delivery, error) {
	if s == nil {
		return d, nil
	}
	in := expression.NewInput(d.Event, d.Body)
	header := http.Header{}
	for _, name := range slices.Sorted(maps.Keys(s.headers)) {
		value, given, err := headerValue(ctx, s.headers[name], in)
		if err != nil {
			return d, fmt.Errorf("transform.headers.%s: %w", name, err)
		}
		if given {
			header.Set(name, value)
		}
	}
	d.Shape = &Shape{Header: header}
	if s.body == nil {
		return d, nil
	}
	body, contentType, err := bodyOf(ctx, s.body, in)
	if err != nil {
		return d, fmt.Errorf("transform.body: %w", err)
	}
	if s.contentType != "" {
		contentType = s.contentType
	}
	d.Shape.Body, d.Shape.ContentType = body, contentType
	return d, nil
}

func headerValue(ctx context.Context, p *expression.Program, in *expression.Input) (value string, given bool, err error) {
	v, err := p.Eval(ctx, in)
	if err != nil {
		return "", false, err //nolint:wrapcheck // The caller names the setting.
	}
	switch v := v.(type) {
	case types.Null:
		return "", false, nil
	case types.String:
		value = string(v)
	case types.Bool, types.Int, types.Uint, types.Double:
		text, err := expression.JSON(v)
		if err != nil {
			return "", false, err //nolint:wrapcheck // As above.
		}
		value = string(text)
	default:
		return "", false, fmt.Errorf("it gives a %s, and a text, a number, true or false is needed", v.Type().TypeName())
	}
	switch {
	case !httpguts.ValidHeaderFieldValue(value):
		return "", false, errors.New("it gives characters that no header may hold, a line break for one")
	case len(value) > maxHeaderValue:
		return "", false, errors.New("it gives more than 8 KiB")
	}
	return value, true, nil
}

func bodyOf(ctx context.Context, p *expression.Program, in *expression.Input) (body []byte, contentType string, err error) {
	v, err := p.Eval(ctx, in)
	if err != nil {
		return nil, "", err //nolint:wrapcheck // The caller names the setting.
	}
	switch v := v.(type) {
	case types.String:
		return []byte(v), "text/plain; charset=utf-8", nil
	case types.Bytes:
		return []byte(v), "application/octet-stream", nil
	}
	body, err = expression.JSON(v)
	return body, "application/json", err //nolint:wrapcheck // As above.
}

// condition compiles the condition; nil where there is none.
func (s *Spec) condition() (*expression.Program, error) {
	if s.When == "" {
		return nil, nil //nolint:nilnil // No condition is no fault.
	}
	return expression.Condition(s.When) //nolint:wrapcheck // The caller names the setting.
}

// checkExpressions reports every expression that can't be used, each at its setting.
func (s *Spec) checkExpressions(r Report) {
	_, err := s.condition()
	if s.When == "" && r.Given("when") {
		err = errors.New("is empty; write a condition over the event, or remove the setting")
	}
	if err != nil {
		r.Fault("when", err.Error())
	}
	s.Transform.check(s, r)
}
