package expression_test

import (
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/require"

	"github.com/grapnel/grapnel/internal/expression"
)

func TestATemplateTakesPartsOfAnEvent(t *testing.T) {
	const body = `{"order": "42/7", "n": 9007199254740993, "empty": "", "null": null, "line": "a\nb", "paid": true, "list": [1],
		"long": "` + "0123456789" + `", "obj": {"z": 1.10, "a": "<"}, "a-b": "dash"}`
	for text, want := range map[string]string{
		`order-{{.body.order}}`:                    `order-42/7`,
		`{{.source}}.{{.type}}-{{.id}}`:            `stripe.invoice.paid-e1`,
		`n{{.body.n}}`:                             `n9007199254740993`,
		`{{index .headers "x-plan"}}!`:             `gold!`,
		`{{index .body "a-b"}}!`:                   `dash!`,
		`at {{.time}}`:                             `at 2026-01-02T03:04:05Z`,
		`{{.body.order}}`:                          `42/7`,
		`{{if .body.paid}}paid{{else}}open{{end}}`: `paid`,
		`{{with .body.obj}}{{.a}}{{end}}-`:         `<-`,
		`{{$x := .body.order}}o{{$x}}`:             `o42/7`,
		`o-{{.body.nothing}}`:                      `!map has no entry for key "nothing" at .body.nothing`,
		`o-{{.body.order.id}}`:                     `!can't evaluate field id`,
		`o-{{.body.empty}}`:                        `!it is empty`,
		`o-{{.body.null}}`:                         `!it is null`,
		`o-{{.body.line}}`:                         `!control characters`,
		`o-{{.body.list}}`:                         `!no single value`,
		`o-{{index .headers "x-none"}}`:            `!it is empty`,
		`o-{{.senderId}}`:                          `!it is empty`,
		`{{.body.obj}}`:                            `!no single value`,
		strings.Repeat(`{{.body.long}}`, 101):      `!more than 1000 bytes`,
	} {
		t.Run(text[:min(len(text), 40)], func(t *testing.T) {
			p, err := expression.ParseTemplate(text)
			require.NoError(t, err)
			got, err := p.Text(expression.NewInput(paid(), []byte(body)))
			if why, fails := strings.CutPrefix(want, "!"); fails {
				require.ErrorContains(t, err, why)
				require.NotContains(t, err.Error(), "template:")
				return
			}
			require.NoError(t, err)
			require.Equal(t, want, got)
		})
	}
	for text, want := range map[string]string{
		`{{.body.n}}`:    `9007199254740993`,
		`{{.body.obj}}`:  `{"a":"<","z":1.10}`,
		`{{.id}}`:        `"e1"`,
		`{{.body.null}}`: `null`,
		`n-{{.body.n}}`:  `"n-9007199254740993"`,
		`plain`:          `"plain"`,
	} {
		p, err := expression.ParseTemplate(text)
		require.NoError(t, err)
		got, err := p.JSON(expression.NewInput(paid(), []byte(body)))
		require.NoError(t, err)
		require.Equal(t, want, string(got), text)
	}
}

func TestATemplateOfAnEventWithoutJSONSaysSo(t *testing.T) {
	p, err := expression.ParseTemplate(`o-{{.body.order}}`)
	require.NoError(t, err)
	_, err = p.Text(expression.NewInput(paid(), []byte(`order=1`)))
	require.ErrorContains(t, err, "the body is no JSON")
	p, err = expression.ParseTemplate(`o-{{.id}}`)
	require.NoError(t, err)
	_, err = p.Text(expression.NewInput(paid(), []byte(`order=1`)))
	require.NoError(t, err)
}

func TestWhatIsWrongWithATemplateIsSaidWhenItIsRead(t *testing.T) {
	for text, want := range map[string]string{
		``:                                      "is empty",
		`{{.body.a`:                             "unclosed action",
		`{{.bodi.a}}`:                           "an event has no .bodi; it has .id, .source",
		`{{if .bodi}}x{{end}}`:                  "an event has no .bodi",
		`o-{{printf .body.format 1}}`:           "the function printf has no place in it",
		`{{len (.bodi)}}`:                       "an event has no .bodi",
		`{{range .body.list}}x{{end}}`:          "no loops",
		`{{define "x"}}{{end}}{{template "x"}}`: "no templates",
		`{{nothing .id}}`:                       `function "nothing" not defined`,
		strings.Repeat("x", 5000):               "longer than 4096",
	} {
		t.Run(text[:min(len(text), 40)], func(t *testing.T) {
			_, err := expression.ParseTemplate(text)
			require.ErrorContains(t, err, want)
		})
	}
}

// FuzzTemplate: whatever a sender sends, a name has at most so many bytes, is printable,
// and begins with the configuration's own text.
func FuzzTemplate(f *testing.F) {
	f.Add([]byte(`{"order":"1"}`), "subject")
	f.Add([]byte(`{"order":{"a":["\u0000"]}}`), "{{.id}}")
	f.Add([]byte(`{"order":"{{.id}}"}`), "../..\n")
	p, err := expression.ParseTemplate(`order-{{.body.order}}-{{.subject}}`)
	require.NoError(f, err)
	f.Fuzz(func(t *testing.T, body []byte, subject string) {
		e := paid()
		e.Subject = subject
		name, err := p.Text(expression.NewInput(e, body))
		if err != nil {
			return
		}
		require.True(t, strings.HasPrefix(name, "order-") && len(name) <= 1000 && utf8.ValidString(name))
		require.NotContains(t, name, "\n")
		require.NotContains(t, name, "\x00")
	})
}
