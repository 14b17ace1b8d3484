package admin

import (
	"context"
	"errors"
	"net/http"
	"strings"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"
	"go.uber.org/zap"
)

// PathAPI is the path of the REST API; its OpenAPI document is openapi.json below it.
const PathAPI = "/api/v1"

// Endpoints is a part of the REST API, which a package implements with huma.Register. Paths are
// relative to PathAPI, and names of JSON members are in snake case. A GET needs RoleRead, all other
// methods need RoleOperate and write an audit line, to which Audit adds.
type Endpoints interface {
	// Register adds the operations.
	Register(api huma.API)
}

// The roles. RoleRead may look, RoleOperate may also act.
const (
	RoleRead    = "read"
	RoleOperate = "operate"
)

// newAPI serves the endpoints on the mux, with their OpenAPI document.
func newAPI(mux *http.ServeMux, endpoints []Endpoints) huma.API {
	c := huma.DefaultConfig("grapnel", "1.0")
	c.Info.Description = "For operators of grapnel: dead letters, operations on them, sources and destinations."
	c.OpenAPIPath = "/openapi"
	// No documentation page, which would load scripts from elsewhere, and no $schema members in our
	// JSON.
	c.DocsPath, c.SchemasPath, c.CreateHooks = "", "", nil
	c.RejectUnknownQueryParameters = true
	c.Components.SecuritySchemes = map[string]*huma.SecurityScheme{
		RoleRead:    {Type: "http", Scheme: "bearer", Description: "GRAPNEL_ADMIN_READ_TOKEN, or the one below."},
		RoleOperate: {Type: "http", Scheme: "bearer", Description: "GRAPNEL_ADMIN_TOKEN. On loopback there may be no token."},
	}
	c.OnAddOperation = append(c.OnAddOperation, func(_ *huma.OpenAPI, op *huma.Operation) {
		role := RoleOperate
		if op.Method == http.MethodGet {
			role = RoleRead
		}
		op.Security = []map[string][]string{{role: {}}}
	})
	api := humago.NewWithPrefix(mux, PathAPI, c)
	for _, e := range endpoints {
		e.Register(api)
	}
	return api
}

// OpenAPI returns the OpenAPI document of the endpoints, as JSON.
func OpenAPI(endpoints ...Endpoints) ([]byte, error) {
	text, err := newAPI(http.NewServeMux(), endpoints).OpenAPI().MarshalJSON()
	if err != nil {
		return nil, errors.Join(errors.New("write the OpenAPI document"), err)
	}
	return text, nil
}

// auditKey is the key of a request's audit line in its context.
type auditKey struct{}

// auditLine collects the fields of the audit line of one request.
type auditLine struct{ fields []zap.Field }

// Audit adds fields to the audit line of the request of ctx: who asked for what, and why. If ctx
// has none, it does nothing.
func Audit(ctx context.Context, fields ...zap.Field) {
	if line, ok := ctx.Value(auditKey{}).(*auditLine); ok {
		line.fields = append(line.fields, fields...)
	}
}

// audit writes a line to the log for every request that may change something, whatever its answer.
func audit(log *zap.Logger, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if isSafe(r.Method) || strings.HasPrefix(r.URL.Path, pathCodec+"/") {
			next.ServeHTTP(w, r)
			return
		}
		line := &auditLine{}
		kept := &statusKeeper{ResponseWriter: w, status: http.StatusOK}
		next.ServeHTTP(kept, r.WithContext(context.WithValue(r.Context(), auditKey{}, line)))
		log.Info("audit", append([]zap.Field{
			zap.String("method", r.Method), zap.String("path", r.URL.Path), zap.Int("status", kept.status),
			zap.String("client", r.RemoteAddr), zap.String("idempotency key", r.Header.Get("Idempotency-Key")),
		}, line.fields...)...)
	})
}

// isSafe tells whether a method changes nothing.
func isSafe(method string) bool {
	return method == http.MethodGet || method == http.MethodHead || method == http.MethodOptions
}

// statusKeeper remembers the status of an answer.
type statusKeeper struct {
	http.ResponseWriter
	status int
}

// WriteHeader implements http.ResponseWriter.
func (k *statusKeeper) WriteHeader(status int) {
	k.status = status
	k.ResponseWriter.WriteHeader(status)
}

// Unwrap lets http.ResponseController reach the connection.
func (k *statusKeeper) Unwrap() http.ResponseWriter { return k.ResponseWriter }
