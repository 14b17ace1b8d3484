package provider_test

import (
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/grapnel/grapnel/internal/provider"
	"github.com/grapnel/grapnel/internal/verify"
)

// compile makes the verifier of a preset, with its required settings filled in.
func compile(t testing.TB, name string) *verify.Verifier {
	t.Helper()
	p, ok := provider.Get(name)
	require.True(t, ok, "preset %s", name)
	params := map[string]string{}
	maps.Copy(params, p.Params)
	for _, s := range p.Settings {
		if s.Required {
			params[s.Name] = "example"
		}
	}
	p.Params = params
	v, err := provider.Compile(p)
	require.NoError(t, err)
	return v
}

func TestEveryPresetCompiles(t *testing.T) {
	require.NoError(t, provider.LoadError())
	for _, name := range provider.Names() {
		t.Run(name, func(t *testing.T) { compile(t, name) })
	}
}

func TestSamplesAreIdentifiedAsTheirType(t *testing.T) {
	for _, name := range provider.Names() {
		v := compile(t, name)
		for _, eventType := range provider.Types(name) {
			t.Run(name+"/"+eventType, func(t *testing.T) {
				s, err := provider.NewSample(name, eventType, "seed", time.Unix(1_700_000_000, 0))
				require.NoError(t, err)
				r := request(s)
				if !isHandshake(name, eventType) {
					require.True(t, v.BodyOK(r))
				}
				require.Equal(t, eventType, v.Identify(r).Type)
			})
		}
	}
}

func request(s provider.Sample) *verify.Request {
	h := verify.HTTPHeader{"Content-Type": {s.ContentType}}
	for name, value := range s.Headers {
		h[name] = []string{value}
	}
	return &verify.Request{Method: s.Method, URL: "https://hooks.example.com/webhooks/x", Header: h, Body: s.Body}
}

func clock() time.Time { return time.Unix(1_700_000_000, 0) }

// Whatever type is asked for, the event is read as one of it; where that can't be, it is
// said, and no other event is made.
func TestASampleOfAnyTypeIsReadAsThatType(t *testing.T) {
	cannot := 0
	for _, name := range provider.Names() {
		t.Run(name, func(t *testing.T) {
			l := newLawful(t, name)
			s, err := provider.Compose(name, l.v.Profile(), "made.up", "seed", l.options.Now)
			if err != nil {
				require.ErrorContains(t, err, "use one of")
				cannot++
				return
			}
			r, err := l.sign(request(s))
			require.NoError(t, err)
			require.Equal(t, "made.up", l.v.Identify(r).Type)
		})
	}
	require.LessOrEqual(t, cannot, 4)
}

// isHandshake tells whether a sample of a preset is a request for a handshake.
func isHandshake(name, eventType string) bool {
	p, _ := provider.Lookup(name)
	return slices.ContainsFunc(p.Sample.Events, func(e provider.SampleEvent) bool { return e.Type == eventType && e.Handshake })
}
