package admin_test

import (
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/stretchr/testify/require"

	"github.com/grapnel/grapnel/internal/admin"
	"github.com/grapnel/grapnel/internal/secret"
)

var noon = time.Date(2026, 1, 2, 12, 0, 0, 0, time.UTC)

// refusal is the nth refusal of a source.
func refusal(source string, n int) admin.Rejection {
	return admin.Rejection{
		Time: noon.Add(time.Duration(n) * time.Second), Source: source, Client: "192.0.2.7", Reason: "invalid_signature",
		Status: 401, Method: "POST", Path: "/webhooks/" + source, Detail: fmt.Sprint(n),
	}
}

// details returns the details of a list, in its order.
func details(list []admin.Rejection) string {
	var s []string
	for _, x := range list {
		s = append(s, x.Source+x.Detail)
	}
	return strings.Join(s, " ")
}

func TestTheLatestOfEachSourceAreKept(t *testing.T) {
	r := admin.NewRejections(admin.Bounds{PerSource: 3})
	for n := range 5 {
		r.Add(refusal("a", 2*n))
	}
	r.Add(refusal("b", 5))
	r.Add(refusal("", 7))
	require.Equal(t, "a8 a6 a4", details(r.List("a")))
	require.Equal(t, "b5", details(r.List("b")))
	require.Equal(t, "a8 7 a6 b5 a4", details(r.List("")))
	require.Empty(t, r.List("c"))
}

func TestAFloodAtOneDoorLeavesTheOthers(t *testing.T) {
	r := admin.NewRejections(admin.Bounds{PerSource: 1000, Bytes: 40_000})
	r.Add(refusal("quiet", 0))
	for n := range 5000 {
		x := refusal("loud", n)
		x.Body = []byte(strings.Repeat("x", 5000))
		x.Headers = []admin.Header{{Name: strings.Repeat("n", 5000), Value: strings.Repeat("v", 5000)}}
		r.Add(x)
	}
	require.Len(t, r.List("quiet"), 1)
	loud := r.List("loud")
	require.Equal(t, "4999", loud[0].Detail)
	require.Greater(t, len(loud), 10)
	require.Less(t, len(loud), 40, "what 40,000 bytes hold of 1 KiB bodies")
}

func TestMoreSourcesThanFitAreForgotten(t *testing.T) {
	r := admin.NewRejections(admin.Bounds{Bytes: 10_000})
	for n := range 10_000 {
		r.Add(refusal(fmt.Sprintf("s%d", n), n))
	}
	require.Less(t, len(r.List("")), 40)
}

func TestARefusalIsKeptInMemoryOfItsOwn(t *testing.T) {
	r := admin.NewRejections(admin.Bounds{})
	body := []byte("first")
	r.Add(admin.Rejection{Body: body})
	copy(body, "XXXXX")
	require.Equal(t, "first", string(r.List("")[0].Body))
}

func TestNoRejectionsKeepNothing(t *testing.T) {
	var r *admin.Rejections
	r.Add(refusal("a", 1))
	require.Empty(t, r.List(""))
}

func TestSecretsAndSignaturesAreMasked(t *testing.T) {
	long := strings.Repeat("geheim", 10)
	cases := []struct{ name, value, want string }{
		{"Authorization", "Bearer " + long, "Bearer *** (67 bytes)"},
		{"authorization", "basic " + long, "Basic *** (66 bytes)"},
		{"Authorization", long, "*** (60 bytes)"},
		{"X-Hub-Signature-256", "sha256=" + long, "sha256=*** (67 bytes)"},
		{"x-zm-signature", "v0=" + long, "v0=*** (63 bytes)"},
		{"webhook-signature", "v1," + long, "v1,*** (63 bytes)"},
		{"X-Gitlab-Token", long, "*** (60 bytes)"},
		{"Cookie", long, "*** (60 bytes)"},
		{"X-Shopify-Hmac-Sha256", long, "*** (60 bytes)"},
		{"X-Api-Key", "", "*** (0 bytes)"},
		{"X-Passphrase", long, "*** (60 bytes)"},
		{"X-Custom", long, "*** (60 bytes)"},
		{"Content-Type", "application/json", "application/json"},
		{"X-Request-Timestamp", "1767322800", "1767322800"},
		{"User-Agent", "GitHub-Hookshot/1", "GitHub-Hookshot/1"},
	}
	for _, c := range cases {
		t.Run(c.name+" "+c.want, func(t *testing.T) {
			r := admin.NewRejections(admin.Bounds{})
			x := refusal("a", 1)
			x.Headers, x.Secret = []admin.Header{{c.name, c.value}}, []string{"x-custom"}
			r.Add(x)
			require.Equal(t, []admin.Header{{c.name, c.want}}, r.List("")[0].Headers)
		})
	}
}

func TestTheQueryIsNotKept(t *testing.T) {
	r := admin.NewRejections(admin.Bounds{})
	x := refusal("a", 1)
	x.Path = "/webhooks/a?token=geheim"
	r.Add(x)
	require.Equal(t, "/webhooks/a", r.List("")[0].Path)
}

func TestBodiesAreShownAsTheyAre(t *testing.T) {
	cases := []struct {
		name, body, want string
		size             int
	}{
		{"text", `{"a":1}`, `{"a":1}`, 7},
		{"nothing", "", "", 0},
		{"bytes that are no text", "\xff\xfe", "base64://4=", 2},
		{"text that looks like the other form", "base64:!", "base64:YmFzZTY0OiE=", 8},
		{"a kilobyte of a longer one", strings.Repeat("x", 3000), strings.Repeat("x", 1024), 3000},
		{"not torn within a character", strings.Repeat("€", 1000), strings.Repeat("€", 341), 3000},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			r := admin.NewRejections(admin.Bounds{})
			r.Add(admin.Rejection{Body: []byte(c.body)})
			out, err := json.Marshal(r.List("")[0])
			require.NoError(t, err)
			var got struct {
				Body     string
				BodySize int
			}
			require.NoError(t, json.Unmarshal(out, &got))
			require.Equal(t, c.want, got.Body)
			require.Equal(t, c.size, got.BodySize)
			var back admin.Rejection
			require.NoError(t, json.Unmarshal(out, &back))
			require.True(t, strings.HasPrefix(c.body, string(back.Body)))
		})
	}
}

func TestRejectionsAreListedOverTheSocket(t *testing.T) {
	o := options()
	o.Rejections.Add(refusal("zoom", 1))
	o.Rejections.Add(refusal("zoom", 2))
	o.Rejections.Add(refusal("stripe", 3))
	s := serve(t, o)
	for path, want := range map[string]string{
		"/rejections": "stripe3 zoom2 zoom1", "/rejections?source=zoom": "zoom2 zoom1",
		"/rejections?source=zoom&limit=1": "zoom2", "/rejections?limit=9": "stripe3 zoom2 zoom1",
	} {
		var got struct{ Rejections []admin.Rejection }
		require.NoError(t, json.Unmarshal([]byte(request(t, s, "GET "+path, nil).body), &got))
		require.Equal(t, want, details(got.Rejections), path)
		require.Equal(t, "invalid_signature", got.Rejections[0].Reason)
	}
}

func TestRejectionsBearConcurrency(t *testing.T) {
	r := admin.NewRejections(admin.Bounds{PerSource: 5})
	var wg sync.WaitGroup
	for n := range 8 {
		wg.Go(func() {
			for i := range 200 {
				r.Add(refusal(fmt.Sprintf("s%d", n%4), i))
				_ = r.List("")
			}
		})
	}
	wg.Wait()
	require.Len(t, r.List(""), 20)
}

func FuzzRejections(f *testing.F) {
	f.Add("Authorization", "Bearer geheim", "/webhooks/zoom?x", []byte("{}"))
	f.Add("X-Ü\xff", "\xff\xfe", "?", []byte{0xff})
	f.Fuzz(func(t *testing.T, name, value, path string, body []byte) {
		r := admin.NewRejections(admin.Bounds{})
		r.Add(admin.Rejection{Path: path, Headers: []admin.Header{{name, value}}, Body: body})
		out, err := json.Marshal(r.List(""))
		require.NoError(t, err)
		require.True(t, utf8.Valid(out))
		require.NotContains(t, r.List("")[0].Path, "?")
	})
}

func TestAConfiguredSecretIsHiddenWhereverItStands(t *testing.T) {
	const it = "a-secret-of-the-configuration"
	r := admin.NewRejections(admin.Bounds{})
	r.Hide(secret.NewMasker(it))
	encoded := base64.StdEncoding.EncodeToString([]byte("user:" + it))
	long := strings.Repeat("x", 1010) + it
	for _, body := range []string{it, encoded, hex.EncodeToString([]byte(it)), long} {
		r.Add(admin.Rejection{
			Source: "a", Detail: "near " + it, Path: "/webhooks/" + it, Body: admin.Excerpt(body),
			Headers: []admin.Header{{Name: "X-Custom", Value: it}, {Name: "X-Other", Value: encoded}},
		})
	}
	text, err := json.Marshal(r.List(""))
	require.NoError(t, err)
	for _, hidden := range []string{it, it[:14], encoded[4:30], hex.EncodeToString([]byte(it))} {
		require.NotContains(t, string(text), hidden)
	}
	require.Equal(t, len(long), r.List("")[0].BodySize)
}
