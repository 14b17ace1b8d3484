package admin_test

import (
	"context"
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"github.com/danielgtaylor/huma/v2"
	"github.com/stretchr/testify/require"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"github.com/grapnel/grapnel/internal/admin"
)

// lamps is a part of the REST API for the tests.
type lamps struct{}

type lamp struct {
	Body struct {
		Name string `json:"name" minLength:"1"`
		On   bool   `json:"on"`
	}
}

// Register implements admin.Endpoints.
func (lamps) Register(api huma.API) {
	huma.Register(api, huma.Operation{OperationID: "get-lamp", Method: http.MethodGet, Path: "/lamps/{name}"},
		func(_ context.Context, in *struct {
			Name string `path:"name"`
		},
		) (*lamp, error) {
			if in.Name != "hall" {
				return nil, huma.Error404NotFound("there is no lamp " + in.Name)
			}
			l := &lamp{}
			l.Body.Name = in.Name
			return l, nil
		})
	huma.Register(api, huma.Operation{OperationID: "switch-lamp", Method: http.MethodPost, Path: "/lamps"},
		func(ctx context.Context, in *lamp) (*lamp, error) {
			admin.Audit(ctx, zap.String("lamp", in.Body.Name))
			return in, nil
		})
}

// serveAPI runs a listener with the lamps and returns its log.
func serveAPI(t *testing.T, change func(*admin.Options)) (*admin.Server, *observer.ObservedLogs) {
	core, logs := observer.New(zap.InfoLevel)
	o := options()
	o.Endpoints, o.Log = []admin.Endpoints{lamps{}}, zap.New(core)
	if change != nil {
		change(&o)
	}
	return serve(t, o), logs
}

func posting(body string, header ...string) func(*http.Request) {
	return func(r *http.Request) {
		r.Body, r.ContentLength = http.NoBody, int64(len(body))
		r.Body = readCloser{strings.NewReader(body)}
		r.Header.Set("Content-Type", "application/json")
		for i := 0; i < len(header); i += 2 {
			r.Header.Set(header[i], header[i+1])
		}
	}
}

type readCloser struct{ *strings.Reader }

// Close implements io.Closer.
func (readCloser) Close() error { return nil }

func TestTheAPIAnswersAndItsFaultsAreProblems(t *testing.T) {
	s, _ := serveAPI(t, nil)
	got := request(t, s, "GET /api/v1/lamps/hall", nil)
	require.Equal(t, 200, got.status)
	require.JSONEq(t, `{"name":"hall","on":false}`, got.body)
	for name, c := range map[string]struct {
		line   string
		change func(*http.Request)
		status int
	}{
		"what is not there":     {"GET /api/v1/lamps/attic", nil, 404},
		"a body that is wrong":  {"POST /api/v1/lamps", posting(`{"name":""}`), 422},
		"a body that is broken": {"POST /api/v1/lamps", posting(`{`), 400},
		"an unknown parameter":  {"GET /api/v1/lamps/hall?colour=red", nil, 422},
		"a page of elsewhere":   {"GET /api/v1/lamps/hall", header("Sec-Fetch-Site", "cross-site"), 403},
	} {
		t.Run(name, func(t *testing.T) {
			got := request(t, s, c.line, c.change)
			require.Equal(t, c.status, got.status, got.body)
			require.Equal(t, "application/problem+json", got.header.Get("Content-Type"))
			var p struct{ Status int }
			require.NoError(t, json.Unmarshal([]byte(got.body), &p))
			require.Equal(t, c.status, p.Status)
		})
	}
}

func TestTheDocumentIsThatOfTheCode(t *testing.T) {
	s, _ := serveAPI(t, nil)
	got := request(t, s, "GET /api/v1/openapi.json", nil)
	require.Equal(t, 200, got.status)
	made, err := admin.OpenAPI(lamps{})
	require.NoError(t, err)
	require.JSONEq(t, string(made), got.body)
	var doc struct {
		Paths map[string]map[string]struct{ Security []map[string][]string }
	}
	require.NoError(t, json.Unmarshal([]byte(got.body), &doc))
	require.Equal(t, []map[string][]string{{"read": {}}}, doc.Paths["/lamps/{name}"]["get"].Security)
	require.Equal(t, []map[string][]string{{"operate": {}}}, doc.Paths["/lamps"]["post"].Security)
}

func TestTheReadTokenShowsAndDoesNotAct(t *testing.T) {
	s, logs := serveAPI(t, func(o *admin.Options) { o.Token, o.ReadToken = "operate-token", "read-token" })
	for _, c := range []struct {
		line, token string
		status      int
	}{
		{"GET /api/v1/lamps/hall", "", 401},
		{"GET /api/v1/lamps/hall", "wrong", 401},
		{"GET /api/v1/lamps/hall", "read-token", 200},
		{"GET /api/v1/lamps/hall", "operate-token", 200},
		{"GET /stats", "read-token", 200},
		{"POST /api/v1/lamps", "", 401},
		{"POST /api/v1/lamps", "read-token", 403},
		{"POST /spool/drain", "read-token", 403},
		{"POST /api/v1/lamps", "operate-token", 200},
	} {
		t.Run(c.line+" with "+c.token, func(t *testing.T) {
			got := request(t, s, c.line, posting(`{"name":"hall","on":true}`, "Authorization", "Bearer "+c.token))
			require.Equal(t, c.status, got.status, got.body)
			require.NotContains(t, got.body, "token-")
		})
	}
	require.Len(t, logs.FilterMessage("audit").All(), 1)
}

func TestEveryChangeLeavesAnAuditLine(t *testing.T) {
	s, logs := serveAPI(t, nil)
	request(t, s, "GET /api/v1/lamps/hall", nil)
	request(t, s, "POST /api/v1/lamps", posting(`{"name":"hall","on":true}`, "Idempotency-Key", "k1"))
	request(t, s, "POST /api/v1/lamps", posting(`{"name":""}`))
	lines := logs.FilterMessage("audit").All()
	require.Len(t, lines, 2)
	said := lines[0].ContextMap()
	require.Equal(t, "hall", said["lamp"])
	require.Equal(t, "k1", said["idempotency key"])
	require.Equal(t, "/api/v1/lamps", said["path"])
	require.EqualValues(t, 200, said["status"])
	require.EqualValues(t, 422, lines[1].ContextMap()["status"])
}

func TestForeignHostsGetNothing(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*admin.Options)
		host   string
		status int
	}{
		"a name, with a token, on loopback":           {func(o *admin.Options) { o.Token = "t" }, "evil.example", 403},
		"an address, with a token":                    {func(o *admin.Options) { o.Token = "t" }, "192.0.2.1:9090", 200},
		"a name that is configured":                   {func(o *admin.Options) { o.Hosts = []string{"ops.example"} }, "ops.example:9090", 200},
		"another name than those configured":          {func(o *admin.Options) { o.Token, o.Hosts = "t", []string{"ops.example"} }, "evil.example", 403},
		"any name of a listener that all can reach":   {func(o *admin.Options) { o.Token, o.Listen = "t", ":0" }, "grapnel.internal", 200},
		"another name of a listener all can reach":    {func(o *admin.Options) { o.Token, o.Listen, o.Hosts = "t", ":0", []string{"ops.example"} }, "evil.example", 403},
		"an address other than loopback, no token":    {nil, "192.0.2.1", 403},
		"a name that begins like one of those we are": {nil, "localhost.evil.example", 403},
	} {
		t.Run(name, func(t *testing.T) {
			s, _ := serveAPI(t, c.change)
			got := request(t, s, "GET /api/v1/lamps/hall", func(r *http.Request) {
				r.Host = c.host
				r.Header.Set("Authorization", "Bearer t")
			})
			require.Equal(t, c.status, got.status, got.body)
		})
	}
}
