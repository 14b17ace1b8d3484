package expression_test

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/grapnel/grapnel/internal/event"
	"github.com/grapnel/grapnel/internal/expression"
)

func paid() event.Event {
	return event.Event{
		ID: "e1", Source: "stripe", Type: "invoice.paid", Subject: "in_1", DataContentType: "application/json",
		Time: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC), Headers: map[string]string{"X-Plan": "gold"},
	}
}

const invoice = `{"id": 9007199254740993, "big": 123456789012345678901234567890, "amount": 1200, "rate": 0.10,
	"paid": true, "customer": {"name": "Zoë <z@x>", "tags": ["b", "a"]}, "lines": [{"sku": "x", "n": 2}, {"sku": "y", "n": 1}]}`

func TestAConditionSaysYesOrNoOrFails(t *testing.T) {
	for text, want := range map[string]string{
		`source == 'stripe' && type.startsWith('invoice.')`:                   "true",
		`subject == 'in_1' && id == 'e1'`:                                     "true",
		`headers['x-plan'] == 'gold'`:                                         "true",
		`'x-other' in headers`:                                                "false",
		`headers['content-type'].startsWith('application/json')`:              "true",
		`headers['x-other'] == 'gold'`:                                        "no such key",
		`time < timestamp('2026-06-01T00:00:00Z')`:                            "true",
		`body.amount > 1000`:                                                  "true",
		`body.amount > 1000.5`:                                                "true",
		`body.paid`:                                                           "true",
		`body.customer`:                                                       "true or false is needed",
		`body.customer.email == 'x'`:                                          "no such key",
		`has(body.customer.email) && body.customer.email == 'x'`:              "false",
		`body.?customer.?email.orValue('none') == 'none'`:                     "true",
		`body.lines.exists(l, l.sku == 'y' && l.n == 1)`:                      "true",
		`body.amount.startsWith('1')`:                                         "no such overload",
		`body.id == 9007199254740993`:                                         "true",
		`body.id == 9007199254740992`:                                         "false",
		`body.big > 1`:                                                        "does not fit 64 bits",
		`body.rate == 0.1`:                                                    "true",
		`body.customer.name.matches('^Zo')`:                                   "true",
		`body.customer.tags.join('-').upperAscii() == 'B-A'`:                  "true",
		`body.lines.all(a, body.lines.all(b, [1,2].all(c, a != b || c > 0)))`: "true",
	} {
		t.Run(text, func(t *testing.T) {
			p, err := expression.Condition(text)
			require.NoError(t, err)
			got, err := p.Holds(t.Context(), expression.NewInput(paid(), []byte(invoice)))
			switch want {
			case "true", "false":
				require.NoError(t, err)
				require.Equal(t, want == "true", got)
			default:
				require.ErrorContains(t, err, want)
				require.False(t, got)
			}
		})
	}
}

func TestWhatIsWrongWithAConditionIsSaidWhenItIsRead(t *testing.T) {
	for text, want := range map[string]string{
		``:                               "is empty",
		`bod.amount > 1`:                 "at character 1: undeclared reference to 'bod' (did you mean 'body'?); there are source, type,",
		`source = 'x'`:                   "at character 8: Syntax error",
		`source`:                         "gives a string, and a bool is needed",
		`body.size() + 1`:                "gives a int, and a bool is needed",
		`subject > 5`:                    "found no matching overload",
		`subject.matches('(')`:           "is no regular expression",
		`subject.matches('a{900}b{90}')`: "regex",
		`timestamp('yesterday') > time`:  "invalid timestamp argument",
		`body.a.all(a, body.a.all(b, body.a.all(c, body.a.all(d, true))))`: "nesting limit",
		strings.Repeat(`1 == 1 && `, 300) + `true`:                         "node count exceeds limit",
		strings.Repeat(`(`, 1000) + `true` + strings.Repeat(`)`, 1000):     "",
		`'` + strings.Repeat(`x`, 5000) + `' == type`:                      "size exceeds limit",
	} {
		t.Run(text[:min(len(text), 40)], func(t *testing.T) {
			_, err := expression.Condition(text)
			require.ErrorContains(t, err, want)
			require.NotContains(t, err.Error(), "\n")
		})
	}
}

func TestABodyThatIsNoJSONFailsOnlyWhatLooksAtIt(t *testing.T) {
	gzip := paid()
	gzip.DataContentEncoding = "gzip"
	for _, c := range []struct {
		event      event.Event
		body, want string
	}{
		{paid(), "<xml/>", "the body is no JSON"},
		{paid(), "", "the body is no JSON"},
		{paid(), "{} {}", "something follows it"},
		{gzip, "{}", "compressed by gzip"},
	} {
		in := expression.NewInput(c.event, []byte(c.body))
		looks, err := expression.Condition(`body.a == 1`)
		require.NoError(t, err)
		_, err = looks.Holds(t.Context(), in)
		require.ErrorContains(t, err, c.want)
		not, err := expression.Condition(`source == 'stripe' || body.a == 1`)
		require.NoError(t, err)
		yes, err := not.Holds(t.Context(), in)
		require.NoError(t, err)
		require.True(t, yes)
	}
}

func TestATimeThatIsNotKnownFailsWhatLooksAtIt(t *testing.T) {
	p, err := expression.Condition(`time > timestamp('2020-01-01T00:00:00Z')`)
	require.NoError(t, err)
	_, err = p.Holds(t.Context(), expression.NewInput(event.Event{}, nil))
	require.ErrorContains(t, err, "does not say when it happened")
}

func TestAnExpressionThatExplodesFailsInTime(t *testing.T) {
	long := `{"s": "` + strings.Repeat("a", 1<<20) + `", "l": [` + strings.Repeat("1,", 200_000) + `1]}`
	for text, want := range map[string]string{
		`body.l.all(a, body.l.all(b, a + b > 0))`:                 "too long",
		`body.s.replace('a', body.s) == ''`:                       "longer than 4 MiB",
		`[body.s, body.s, body.s, body.s, body.s].join('') == ''`: "longer than 4 MiB",
		`body.l.map(x, body.s + 'x').size() > 0`:                  "too long",
		`body.l.map(x, body.s.upperAscii()).size() > 0`:           "too long",
		`body.s.matches(body.s)`:                                  "regex",
		`body.s.matches('(a|aa|aaa)*b')`:                          "",
	} {
		t.Run(text, func(t *testing.T) {
			p, err := expression.Condition(text)
			require.NoError(t, err)
			_, err = p.Holds(t.Context(), expression.NewInput(paid(), []byte(long)))
			if want != "" {
				require.ErrorContains(t, err, want)
			}
		})
	}
}

func TestAValueIsWrittenTheSameEachTime(t *testing.T) {
	all := `[` + strings.Repeat(`x,`, 49) + `x]`
	for text, want := range map[string]string{
		`{'b': 1, 'a': [true, null, 1.5, 2u], 'c': 'x<y'}`: `{"a":[true,null,1.5,2],"b":1,"c":"x<y"}`,
		`body.customer`:          `{"name":"Zoë <z@x>","tags":["b","a"]}`,
		`{'all': body}.all.id`:   `9007199254740993`,
		`{'it': body}`:           `{"it":{"amount":1200,"big":123456789012345678901234567890,"customer":{"name":"Zoë <z@x>","tags":["b","a"]},"id":9007199254740993,"lines":[{"n":2,"sku":"x"},{"n":1,"sku":"y"}],"paid":true,"rate":0.10}}`,
		`body.lines.map(l, l.n)`: `[2,1]`,
		`time`:                   `"2026-01-02T03:04:05Z"`,
		`body.?nothing`:          `null`,
		`[body.?nothing]`:        `[null]`,
		`{1: 2}`:                 `!names that are texts`,
		`[b'x']`:                 `!base64.encode`,
		`[0.0 / 0.0]`:            `!NaN`,
		`[body.big]`:             `!does not fit 64 bits`,
		`[` + strings.Repeat(`'twenty letters of text',`, 99) + `''].map(x, ` + all + `).map(x, ` + all + `)`: `!larger than 4 MiB`,
	} {
		t.Run(text[:min(len(text), 60)], func(t *testing.T) {
			p, err := expression.Value(text)
			require.NoError(t, err)
			v, err := p.Eval(t.Context(), expression.NewInput(paid(), []byte(invoice)))
			var got []byte
			if err == nil {
				got, err = expression.JSON(v)
			}
			if failure, ok := strings.CutPrefix(want, "!"); ok {
				require.ErrorContains(t, err, failure)
				return
			}
			require.NoError(t, err)
			require.Equal(t, want, string(got))
		})
	}
}

// FuzzInput: whatever a sender sends, an expression ends with an answer or an error, and
// what it passes on is the JSON that came.
func FuzzInput(f *testing.F) {
	for _, seed := range []string{invoice, `[]`, `"x"`, `1e999`, `{"a":{"a":null}}`, `{"amount":-0}`, `{"amount":18446744073709551615}`} {
		f.Add([]byte(seed))
	}
	condition, err := expression.Condition(`body.amount > 10 && body.lines.exists(l, l.n in [1, 2]) || body.customer.name.matches('^a+$')`)
	require.NoError(f, err)
	whole, err := expression.Value(`body`)
	require.NoError(f, err)
	f.Fuzz(func(t *testing.T, body []byte) {
		in := expression.NewInput(paid(), body)
		_, _ = condition.Holds(t.Context(), in)
		v, err := whole.Eval(t.Context(), in)
		if err != nil {
			return
		}
		text, err := expression.JSON(v)
		require.NoError(t, err)
		again, err := whole.Eval(t.Context(), expression.NewInput(paid(), text))
		require.NoError(t, err)
		twice, err := expression.JSON(again)
		require.NoError(t, err)
		require.Equal(t, string(text), string(twice))
	})
}
