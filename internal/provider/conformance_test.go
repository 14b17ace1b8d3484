package provider_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/grapnel/grapnel/internal/provider"
	"github.com/grapnel/grapnel/internal/verify"
)

// unsignable are the presets that only their sender can sign for.
func unsignable() []string {
	return []string{"aws-sns", "fusionauth-jwt-public", "google-pubsub", "microsoft-graph-rich", "paypal"}
}

func newPair(t *testing.T, p verify.Profile) provider.KeyPair {
	t.Helper()
	pair, err := provider.NewKeyPair(p)
	require.NoError(t, err)
	return pair
}

// bench is one preset under test.
type bench struct {
	v      *verify.Verifier
	p      verify.Profile
	key    provider.KeyPair
	now    time.Time
	sample provider.Sample
}

func newBench(t *testing.T, name string) *bench {
	t.Helper()
	v := compile(t, name)
	now := time.Unix(1_700_000_000, 0)
	s, err := provider.NewSample(name, "", "seed", now)
	require.NoError(t, err)
	return &bench{v: v, p: v.Profile(), key: newPair(t, v.Profile()), now: now, sample: s}
}

// signed is a genuine request, signed at a time.
func (b *bench) signed(t *testing.T, at time.Time) (*verify.Request, verify.HTTPHeader) {
	t.Helper()
	r := request(b.sample)
	add, err := b.v.Sign(r, verify.Secret{Value: b.key.Signs}, at)
	require.NoError(t, err)
	h := r.Header.(verify.HTTPHeader)
	for _, l := range add.Headers {
		h[l.Name] = []string{l.Value}
	}
	if add.Body != nil {
		r.Body = add.Body
	}
	if add.URL != "" {
		r.URL = add.URL
	}
	return r, h
}

func (b *bench) verify(r *verify.Request, secrets ...string) error {
	list := make([]verify.Secret, len(secrets))
	for i, s := range secrets {
		list[i] = verify.Secret{Value: s}
	}
	return b.v.Verify(r, list, verify.Options{Now: b.now})
}

// added are the headers that signing added.
func (b *bench) added(h verify.HTTPHeader) []string {
	var names []string
	for name := range h {
		if name != "Content-Type" && b.sample.Headers[name] == "" {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

// header is the one that carries the signature; empty where it is in the body.
func (b *bench) header(h verify.HTTPHeader) string {
	for _, name := range b.added(h) {
		for _, sig := range append(slices.Clone(b.p.Signature.Headers), "X-Twilio-Signature", "X-Mandrill-Signature", "MessageBird-Signature-JWT", "X-FusionAuth-Signature-JWT", "X-DocuSign-Signature-1") {
			if strings.EqualFold(name, sig) || strings.HasPrefix(sig, "{param:") {
				return name
			}
		}
	}
	return ""
}

func refused(t *testing.T, err error, reasons ...verify.Reason) {
	t.Helper()
	var f *verify.Failure
	require.ErrorAs(t, err, &f)
	if len(reasons) > 0 {
		require.Contains(t, reasons, f.Reason)
	}
}

func TestConformance(t *testing.T) {
	for _, name := range provider.Names() {
		if slices.Contains(unsignable(), name) {
			continue
		}
		t.Run(name, func(t *testing.T) {
			t.Run("a genuine request passes", func(t *testing.T) {
				b := newBench(t, name)
				r, _ := b.signed(t, b.now)
				require.NoError(t, b.verify(r, b.key.Verifies))
			})
			t.Run("secrets", func(t *testing.T) { testSecrets(t, newBench(t, name)) })
			t.Run("body", func(t *testing.T) { testBody(t, newBench(t, name)) })
			t.Run("headers", func(t *testing.T) { testHeaders(t, newBench(t, name)) })
			t.Run("window", func(t *testing.T) { testWindow(t, newBench(t, name)) })
		})
	}
}

func testSecrets(t *testing.T, b *bench) {
	other := newPair(t, b.p).Verifies
	t.Run("a wrong secret is refused", func(t *testing.T) {
		r, _ := b.signed(t, b.now)
		refused(t, b.verify(r, other), verify.SignatureMismatch, verify.TokenMismatch)
	})
	t.Run("the second secret passes", func(t *testing.T) {
		if b.p.Signature.KeyPerHeader {
			t.Skip("this sender's keys belong to headers")
		}
		r, _ := b.signed(t, b.now)
		require.NoError(t, b.verify(r, other, b.key.Verifies))
	})
	t.Run("no secret and an empty one fail closed", func(t *testing.T) {
		r, _ := b.signed(t, b.now)
		refused(t, b.verify(r), verify.EmptySecret)
		refused(t, b.verify(r, ""), verify.EmptySecret)
	})
	t.Run("a request signed with the empty key is refused", func(t *testing.T) {
		r := request(b.sample)
		_, err := b.v.Sign(r, verify.Secret{}, b.now)
		require.Error(t, err)
	})
	t.Run("a secret counts only in its time", func(t *testing.T) {
		r, _ := b.signed(t, b.now)
		for _, s := range []verify.Secret{
			{Value: b.key.Verifies, Until: b.now},
			{Value: b.key.Verifies, From: b.now.Add(time.Second)},
		} {
			refused(t, b.v.Verify(r, []verify.Secret{s}, verify.Options{Now: b.now}), verify.EmptySecret)
		}
	})
}

func testBody(t *testing.T, b *bench) {
	r, _ := b.signed(t, b.now)
	if !b.v.Covers("body:some.path") || slices.Contains([]string{"token", "bearer", "basic"}, b.p.Algorithm) {
		t.Skip("this sender does not sign the body")
	}
	for _, at := range []int{0, len(r.Body) / 2, len(r.Body) - 1} {
		changed := *r
		changed.Body = slices.Clone(r.Body)
		changed.Body[at] ^= 1
		require.Error(t, b.verify(&changed, b.key.Verifies), "byte %d", at)
	}
	cut := *r
	cut.Body = r.Body[:len(r.Body)-1]
	require.Error(t, b.verify(&cut, b.key.Verifies))
	longer := *r
	longer.Body = append(slices.Clone(r.Body), '\n')
	require.Error(t, b.verify(&longer, b.key.Verifies))
}

func testHeaders(t *testing.T, b *bench) {
	_, fresh := b.signed(t, b.now)
	for _, name := range b.added(fresh) {
		t.Run("without "+name+" it is refused", func(t *testing.T) {
			r, h := b.signed(t, b.now)
			delete(h, name)
			refused(t, b.verify(r, b.key.Verifies))
		})
		t.Run("with "+name+" twice it is refused", func(t *testing.T) {
			r, h := b.signed(t, b.now)
			h[name] = append(h[name], h[name][0])
			refused(t, b.verify(r, b.key.Verifies))
		})
	}
	name := b.header(fresh)
	if name == "" {
		return
	}
	for what, value := range map[string]string{
		"garbage": "!!! not a signature", "a cut signature": fresh[name][0][:len(fresh[name][0])/2],
		"an oversized header": fresh[name][0] + strings.Repeat("A", 64<<10), "nothing": "",
	} {
		t.Run("with "+what+" it is refused", func(t *testing.T) {
			r, h := b.signed(t, b.now)
			h[name] = []string{value}
			refused(t, b.verify(r, b.key.Verifies))
		})
	}
	t.Run("the second signature of a header passes", func(t *testing.T) {
		r, h := b.signed(t, b.now)
		s := b.p.Signature
		switch s.Grammar {
		case "kv":
			h[name] = []string{s.Keys[0] + "=00" + s.Separator + h[name][0]}
		case "list":
			h[name] = []string{s.Keys[0] + ",AAAA " + h[name][0]}
		default:
			t.Skip("one signature to a header")
		}
		require.NoError(t, b.verify(r, b.key.Verifies))
	})
}

func testWindow(t *testing.T, b *bench) {
	ts := b.p.Timestamp
	if ts.From == "" || ts.Unchecked {
		t.Skip("this sender has no timestamp, or no window")
	}
	for _, c := range []struct {
		name   string
		at     time.Duration
		reason verify.Reason
	}{
		{"the oldest that counts passes", -ts.Past, ""},
		{"the newest that counts passes", ts.Future, ""},
		{"an older one is refused", -ts.Past - time.Second, verify.TimestampTooOld},
		{"one further in the future is refused", ts.Future + time.Second, verify.TimestampTooNew},
	} {
		t.Run(c.name, func(t *testing.T) {
			r, _ := b.signed(t, b.now.Add(c.at))
			err := b.verify(r, b.key.Verifies)
			if c.reason == "" {
				require.NoError(t, err)
				return
			}
			refused(t, err, c.reason)
		})
	}
}

func TestPresetsThatOnlyTheirSenderSigns(t *testing.T) {
	for _, name := range unsignable() {
		t.Run(name, func(t *testing.T) {
			s, err := provider.NewSample(name, "", "seed", time.Unix(1_700_000_000, 0))
			require.NoError(t, err)
			v := compile(t, name)
			_, err = v.Sign(request(s), verify.Secret{Value: "x"}, time.Unix(1_700_000_000, 0))
			require.Error(t, err)
			err = v.Verify(request(s), []verify.Secret{{Value: "x"}}, verify.Options{Now: time.Unix(1_700_000_000, 0)})
			var f *verify.Failure
			require.ErrorAs(t, err, &f, "an unsigned request must be refused, got %v", err)
		})
	}
}
