package verify_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/grapnel/grapnel/internal/verify"
)

// eachState is a profile whose every notification shows the token.
func eachState() verify.Profile {
	return verify.Profile{Algorithm: "token", Signature: verify.Signature{From: "body:value[].clientState"}}
}

func TestEveryElementMustShowAToken(t *testing.T) {
	many := make([]string, 101)
	for i := range many {
		many[i] = fmt.Sprintf(`{"clientState":"s%d"}`, i)
	}
	for _, c := range []struct {
		name, body string
		reason     verify.Reason
	}{
		{"all good", `{"value":[{"clientState":"a"} , {"x":[1,{}],"clientState":"a"}]}`, ""},
		{"of several secrets", `{"value":[{"clientState":"a"},{"clientState":"b"}]}`, ""},
		{"a long list of one", `{"value":[` + strings.Repeat(`{"clientState":"a"},`, 500) + `{"clientState":"b"}]}`, ""},
		{"the second is wrong", `{"value":[{"clientState":"a"},{"clientState":"c"}]}`, verify.TokenMismatch},
		{"the last of many is wrong", `{"value":[` + strings.Repeat(`{"clientState":"a"},`, 500) + `{"clientState":"c"}]}`, verify.TokenMismatch},
		{"the second has none", `{"value":[{"clientState":"a"},{}]}`, verify.MissingSignature},
		{"the second is null", `{"value":[{"clientState":"a"},null]}`, verify.MissingSignature},
		{"the second is empty", `{"value":[{"clientState":"a"},{"clientState":""}]}`, verify.MissingSignature},
		{"the second shows it twice", `{"value":[{"clientState":"a"},{"clientState":"a","ClientState":"c"}]}`, verify.MalformedSignature},
		{"two lists", `{"value":[{"clientState":"a"}],"Value":[{"clientState":"c"}]}`, verify.MalformedSignature},
		{"no list", `{"value":{"clientState":"a"}}`, verify.MissingSignature},
		{"an empty list", `{"value":[]}`, verify.MissingSignature},
		{"no body", ``, verify.MissingSignature},
		{"more different ones than any source has", `{"value":[` + strings.Join(many, ",") + `]}`, verify.MalformedSignature},
	} {
		t.Run(c.name, func(t *testing.T) {
			err := reader(t, eachState()).Verify(post(c.body), []verify.Secret{{Value: "a"}, {Value: "b"}}, at())
			if c.reason == "" {
				require.NoError(t, err)
				return
			}
			var f *verify.Failure
			require.ErrorAs(t, err, &f)
			require.Equal(t, c.reason, f.Reason)
		})
	}
}

func TestTheTokenIsWrittenIntoEveryElement(t *testing.T) {
	v := reader(t, eachState())
	r := post(`{"value":[{"clientState":"x"},{"clientState":"y"}]}`)
	add, err := v.Sign(r, verify.Secret{Value: "a"}, at().Now)
	require.NoError(t, err)
	require.JSONEq(t, `{"value":[{"clientState":"a"},{"clientState":"a"}]}`, string(add.Body))
	_, err = v.Sign(post(`{"value":[]}`), verify.Secret{Value: "a"}, at().Now)
	require.Error(t, err)
}

func TestWhereEveryElementCannotShowAToken(t *testing.T) {
	for _, c := range []struct {
		name   string
		change func(*verify.Profile)
	}{
		{"a signature", func(p *verify.Profile) { p.Algorithm = "hmac-sha256" }},
		{"a header too", func(p *verify.Profile) { p.Signature.Headers = []string{"x"} }},
		{"a prefix", func(p *verify.Profile) { p.Signature.Prefix = "x" }},
		{"alternatives", func(p *verify.Profile) { p.Signature.From = "body:value[].a|body:b" }},
		{"lists in lists", func(p *verify.Profile) { p.Signature.From = "body:value[].a[].b" }},
		{"no list", func(p *verify.Profile) { p.Signature.From = "body:[].a..b" }},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := eachState()
			c.change(&p)
			_, err := p.Compile(nil)
			var faults verify.Faults
			require.ErrorAs(t, err, &faults)
			require.Equal(t, "signature.from", faults[0].Field)
		})
	}
}
