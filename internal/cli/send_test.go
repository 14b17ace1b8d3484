package cli_test

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/stretchr/testify/require"
	"go.temporal.io/api/common/v1"
	"go.temporal.io/api/serviceerror"
	workflowpb "go.temporal.io/api/workflow/v1"
	"go.temporal.io/api/workflowservice/v1"
	"go.temporal.io/sdk/client"
	"go.uber.org/zap"

	"github.com/grapnel/grapnel/internal/app"
	"github.com/grapnel/grapnel/internal/cli"
	"github.com/grapnel/grapnel/internal/config"
	"github.com/grapnel/grapnel/internal/event"
	"github.com/grapnel/grapnel/internal/provider"
	"github.com/grapnel/grapnel/internal/verify"
	"github.com/grapnel/grapnel/starter"
)

// ran is how a run of the program ended.
type ran struct {
	code     int
	out, err string
}

// run runs the program in process. environ is in the form of os.Environ.
func run(t *testing.T, environ []string, args ...string) ran {
	t.Helper()
	return runWith(t, "", environ, args...)
}

func runWith(t *testing.T, stdin string, environ []string, args ...string) ran {
	t.Helper()
	var out, err bytes.Buffer
	code := cli.Program{Args: args, World: app.World{Environ: environ, Stdin: strings.NewReader(stdin), Stdout: &out, Stderr: &err}}.Run(t.Context())
	return ran{code, out.String(), err.String()}
}

// memory is an engine that knows what was started.
type memory struct {
	mu     sync.Mutex
	events map[string]event.Event
}

func (m *memory) ExecuteWorkflow(_ context.Context, o client.StartWorkflowOptions, _ any, args ...any) (client.WorkflowRun, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if _, ok := m.events[o.ID]; ok {
		return nil, serviceerror.NewWorkflowExecutionAlreadyStarted("already started", "", "")
	}
	m.events[o.ID], _ = args[0].(event.Event)
	return nil, nil //nolint:nilnil // The door does not look at the run.
}

func (m *memory) DescribeWorkflowExecution(_ context.Context, id, _ string) (*workflowservice.DescribeWorkflowExecutionResponse, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if _, ok := m.events[id]; !ok {
		return nil, serviceerror.NewNotFound("no such workflow")
	}
	return &workflowservice.DescribeWorkflowExecutionResponse{WorkflowExecutionInfo: &workflowpb.WorkflowExecutionInfo{
		Execution: &common.WorkflowExecution{WorkflowId: id, RunId: "run"},
	}}, nil
}

func (m *memory) ResetWorkflowExecution(context.Context, *workflowservice.ResetWorkflowExecutionRequest) (*workflowservice.ResetWorkflowExecutionResponse, error) {
	return &workflowservice.ResetWorkflowExecutionResponse{}, nil
}

// types are the types of what was started, sorted.
func (m *memory) types() []string {
	m.mu.Lock()
	defer m.mu.Unlock()
	var all []string
	for _, e := range m.events {
		all = append(all, e.Type)
	}
	slices.Sort(all)
	return all
}

// receiver is a door on loopback, and the environment of those who send to it.
type receiver struct {
	*memory
	environ []string
}

// listen is the address of the door.
func (r receiver) listen() string { return strings.TrimPrefix(r.environ[1], "GRAPNEL_LISTEN=") }

// dataDir is where the door keeps its state.
func (r receiver) dataDir() string { return strings.TrimPrefix(r.environ[2], "GRAPNEL_DATA_DIR=") }

// receive serves a configuration until the test ends.
func receive(t *testing.T, yaml string) receiver {
	t.Helper()
	return receiveIn(t, t.TempDir(), yaml)
}

// receiveIn is receive with the directory of the configuration's files.
func receiveIn(t *testing.T, dir, yaml string) receiver {
	t.Helper()
	path := filepath.Join(dir, "grapnel.yaml")
	require.NoError(t, os.WriteFile(path, []byte(yaml), 0o600))
	c, err := config.Load(path, func(string) (string, bool) { return "", false })
	require.NoError(t, err)
	m := &memory{events: map[string]event.Event{}}
	data := filepath.Join(dir, "data")
	s, err := starter.New(starter.Options{
		Config: c, Temporal: m, Namespace: "default", TaskQueue: "test", Log: zap.NewNop(), Transport: newElsewhere(t),
		Development: func() (*provider.Development, error) { return provider.OpenDevelopment(data) },
	})
	require.NoError(t, err)
	l, err := starter.Listen(t.Context(), "127.0.0.1:0", c.TLS, zap.NewNop())
	require.NoError(t, err)
	served := make(chan error, 1)
	go func() { served <- s.Serve(l) }()
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		require.NoError(t, s.Shutdown(ctx))
		require.NoError(t, <-served)
	})
	return receiver{m, []string{"GRAPNEL_CONFIG=" + path, "GRAPNEL_LISTEN=" + l.Addr().String(), "GRAPNEL_DATA_DIR=" + data}}
}

// keys are a secret as the sender and as the receiver has it.
func keys(t *testing.T, p verify.Profile) (signs, verifies string) {
	t.Helper()
	seed := make([]byte, 32)
	_, err := rand.Read(seed)
	require.NoError(t, err)
	b64 := base64.StdEncoding.EncodeToString
	private := ed25519.NewKeyFromSeed(seed)
	public := private.Public().(ed25519.PublicKey)
	switch {
	case p.Algorithm == "basic":
		return "user:" + hex.EncodeToString(seed), ""
	case p.Algorithm == "ecdsa-p256-sha256":
		k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		require.NoError(t, err)
		pkcs8, err := x509.MarshalPKCS8PrivateKey(k)
		require.NoError(t, err)
		spki, err := x509.MarshalPKIXPublicKey(&k.PublicKey)
		require.NoError(t, err)
		return b64(pkcs8), b64(spki)
	case p.Key == "whsec":
		return "whsec_" + b64(seed), ""
	case p.Key == "whpk":
		return "whsk_" + b64(private), "whpk_" + b64(public)
	case p.Key == "hex" && p.Algorithm == "ed25519":
		return hex.EncodeToString(seed), hex.EncodeToString(public)
	case p.Key == "base64" && p.Algorithm == "ed25519":
		return b64(seed), b64(public)
	case p.Key == "hex":
		return hex.EncodeToString(seed), ""
	default:
		return b64(seed)[:40], ""
	}
}

// elsewhere answers what the receiver fetches: key sets of another key, and no certificates.
type elsewhere struct{ set []byte }

func newElsewhere(t *testing.T) elsewhere {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	require.NoError(t, err)
	set, err := json.Marshal(jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{Key: &key.PublicKey, Use: "sig"}}})
	require.NoError(t, err)
	return elsewhere{set}
}

func (e elsewhere) RoundTrip(r *http.Request) (*http.Response, error) {
	w := httptest.NewRecorder()
	if strings.HasSuffix(r.URL.Path, ".pem") || strings.Contains(r.URL.Path, "CERT-") {
		w.WriteHeader(http.StatusNotFound)
	} else {
		_, _ = w.Write(e.set)
	}
	return w.Result(), nil
}

// sampled is a source of a preset, as whoever tries it writes it.
func sampled(t *testing.T, name string) (text string, v *verify.Verifier) {
	t.Helper()
	p, ok := provider.Get(name)
	require.True(t, ok)
	v, err := provider.Compile(p)
	if err != nil { // It asks for params.
		p.Params = map[string]string{"audience": "a", "email": "e", "app_id": "a"}
		for _, s := range p.Settings {
			require.Contains(t, p.Params, s.Name)
		}
		maps.DeleteFunc(p.Params, func(name, _ string) bool {
			return !slices.ContainsFunc(p.Settings, func(s verify.Setting) bool { return s.Name == name })
		})
		v, err = provider.Compile(p)
		require.NoError(t, err)
	}
	text = "  " + name + ":\n    provider: " + name + "\n"
	if len(p.Params) > 0 {
		params, err := json.Marshal(p.Params)
		require.NoError(t, err)
		text += "    params: " + string(params) + "\n"
	}
	switch {
	case name == "paypal":
		text += "    secrets: [8PT597110X687430LKGECATA]\n    development: true\n"
	case name == "microsoft-graph-rich":
		text += "    secrets: [the-state-that-we-gave]\n    development: true\n"
	case provider.HasOwnKey(v):
		text += "    development: true\n"
	case p.Algorithm != "none":
		secret, _ := keys(t, v.Profile())
		text += fmt.Sprintf("    secrets: [%q]\n", secret)
	}
	return text, v
}

// Every sender can be tried: its sample is taken, a forged one is refused, and one of
// another time where the sender says the time.
func TestEveryPresetCanBeSentForgedAndSkewed(t *testing.T) {
	var yaml strings.Builder
	yaml.WriteString("sources:\n")
	verifiers := map[string]*verify.Verifier{}
	for _, name := range provider.Names() {
		text, v := sampled(t, name)
		yaml.WriteString(text)
		verifiers[name] = v
	}
	require.Len(t, verifiers, 81)
	r := receive(t, yaml.String())
	for _, name := range provider.Names() {
		t.Run(name, func(t *testing.T) {
			v := verifiers[name]
			p := v.Profile()
			got := run(t, r.environ, "send", name)
			require.Zero(t, got.code, got.out+got.err)
			require.Regexp(t, `^20[0-4] `, got.out)
			if p.Algorithm == "none" {
				return
			}
			got = run(t, r.environ, "send", name, "--forge")
			require.Zero(t, got.code, got.out+got.err)
			require.Contains(t, []string{"401", "403", "498"}, got.out[:3])
			old := run(t, r.environ, "send", name, "--skew", (-p.Timestamp.Past - time.Minute).String())
			switch {
			case p.JWT != nil && p.JWT.BodyHash == "":
				require.Regexp(t, "^401 ", old.out, "the token has expired")
			case p.Timestamp.From != "" && !p.Timestamp.Unchecked && p.Algorithm != "token" && p.Algorithm != "bearer" && p.Algorithm != "basic":
				require.Equal(t, "400 {\"error\":\"Request timestamp too old\"}\n", old.out)
			}
		})
	}
	t.Run("without the setting it says what to do", func(t *testing.T) {
		plain := receive(t, "sources:\n  aws-sns: {provider: aws-sns}\n")
		got := run(t, plain.environ, "send", "aws-sns")
		require.Equal(t, 1, got.code)
		require.Contains(t, got.err, "development: true")
	})
	t.Run("a sample that was passed on is none", func(t *testing.T) {
		proxy := httptest.NewServer(&httputil.ReverseProxy{Rewrite: func(p *httputil.ProxyRequest) {
			p.SetURL(&url.URL{Scheme: "http", Host: r.listen()})
			p.SetXForwarded()
		}})
		defer proxy.Close()
		for _, name := range []string{"aws-sns", "discord", "paypal", "google-pubsub"} {
			got := run(t, r.environ, "send", name, "--url", proxy.URL)
			require.Equal(t, 1, got.code, name)
			require.Regexp(t, "^401 ", got.out, name)
		}
	})
	t.Run("another machine's key is none", func(t *testing.T) {
		_, err := provider.OpenDevelopment(filepath.Join(filepath.Dir(r.dataDir()), "other"))
		require.NoError(t, err)
		other := append(slices.Clone(r.environ[:2]), "GRAPNEL_DATA_DIR="+filepath.Join(filepath.Dir(r.dataDir()), "other"))
		for _, name := range []string{"aws-sns", "discord", "sendgrid", "fusionauth-jwt-public"} {
			got := run(t, other, "send", name)
			require.Equal(t, 1, got.code, name)
			require.Regexp(t, "^401 ", got.out, name)
		}
	})
}

const zoomOnly = "sources:\n  zoom:\n    provider: zoom\n    secrets: [a-secret-for-the-tests]\n"

func TestSendChangesWhatItSends(t *testing.T) {
	r := receive(t, zoomOnly+"  shop:\n    secrets: [a-secret-for-the-tests]\n    verify: {algorithm: hmac-sha256, signature: {headers: [X-Sig]}, identity: {type: \"body:event\", subject: \"body:a.b\"}}\n")
	for _, test := range []struct {
		name string
		args []string
		code int
		out  string
	}{
		{"the first sample", []string{"send", "zoom"}, 0, `^200 {"success":true,"eventId":"[0-9a-f]{64}"}\n$`},
		{"another type", []string{"send", "zoom", "--type", "meeting.ended"}, 0, `^200 `},
		{"a type that no sample has", []string{"send", "zoom", "--type", "made.up"}, 0, `^200 `},
		{"a handshake", []string{"send", "zoom", "--type", "endpoint.url_validation"}, 0, `^200 {"plainToken":"[^"]+","encryptedToken":"[0-9a-f]{64}"}\n$`},
		{"values set", []string{"send", "zoom", "--set", "payload.object.topic=Review", "--set", "event_ts=1"}, 0, `^200 `},
		{"three events", []string{"send", "zoom", "--count", "3"}, 0, `^(200 {"success":true,"eventId":"[0-9a-f]{64}"}\n){3}$`},
		{"each twice", []string{"send", "zoom", "--duplicate"}, 0, `^200 [^\n]*\n200 {"success":true,"eventId":"[0-9a-f]{64}","duplicate":true}\n$`},
		{"as JSON", []string{"send", "zoom", "--json"}, 0, `^{"body":"{\\"success\\":true[^\n]*,"status":200}\n$`},
		{"forged", []string{"send", "zoom", "--forge"}, 0, `^401 {"error":"Invalid signature"}\n$`},
		{"too old", []string{"send", "zoom", "--skew", "-10m"}, 1, `^400 {"error":"Request timestamp too old"}\n$`},
		{"from the future", []string{"send", "zoom", "--skew", "10m"}, 1, `^400 {"error":"Request timestamp in the future"}\n$`},
		{"a profile of the user's own", []string{"send", "shop", "--set", "event=x"}, 0, `^200 `},
		{"to an address without a scheme", []string{"send", "zoom", "--url", r.listen()}, 0, `^200 `},
		{"to the address of the door", []string{"send", "zoom", "--url", "http://" + r.listen() + "/webhooks/zoom"}, 0, `^200 `},
		{"to a wrong path", []string{"send", "none", "--provider", "zoom", "--secret", "s"}, 1, `^404 {"error":"Unknown source"}\n$`},
		{"none", []string{"send", "zoom", "--count", "0"}, 2, `^$`},
	} {
		t.Run(test.name, func(t *testing.T) {
			got := run(t, r.environ, test.args...)
			require.Equal(t, test.code, got.code, got.out+got.err)
			require.Regexp(t, test.out, got.out)
		})
	}
	require.Contains(t, r.types(), "made.up")
	require.Contains(t, r.types(), "meeting.ended")
	r.mu.Lock()
	defer r.mu.Unlock()
	require.True(t, slices.ContainsFunc(mapValues(r.events), func(e event.Event) bool { return e.Subject == "Review" }))
}

func mapValues(m map[string]event.Event) []event.Event {
	var all []event.Event
	for _, e := range m {
		all = append(all, e)
	}
	return all
}

func TestSendSaysWhatIsWrong(t *testing.T) {
	r := receive(t, zoomOnly+"  discord:\n    provider: discord\n    secrets: [d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a]\n")
	for _, test := range []struct {
		name string
		args []string
		code int
		err  string
	}{
		{"no source", []string{"send"}, 2, "arg"},
		{"a source that is none", []string{"send", "nobody"}, 1, `no source "nobody"`},
		{"a provider that is none", []string{"send", "nobody", "--secret", "s"}, 2, `no provider "nobody"`},
		{"a flag that is none", []string{"send", "zoom", "--nothing"}, 2, "unknown flag"},
		{"a count that is none", []string{"send", "zoom", "--count", "many"}, 2, "invalid argument"},
		{"a path without a value", []string{"send", "zoom", "--set", "a"}, 2, "PATH=VALUE"},
		{"a path below a text", []string{"send", "zoom", "--set", "event.a=1"}, 2, "below a value"},
		{"a public key to sign with", []string{"send", "discord"}, 1, "--secret"},
		{"nobody there", []string{"send", "zoom", "--url", "http://127.0.0.1:1"}, 1, "is 'grapnel up' running?"},
		{"an address that is none", []string{"send", "zoom", "--url", "http://127.0.0.1:x"}, 2, "http://HOST:PORT"},
		{"an address of another protocol", []string{"send", "zoom", "--url", "ftp://127.0.0.1"}, 2, "http://HOST:PORT"},
		{"an address with a query", []string{"send", "zoom", "--url", "http://127.0.0.1/?a=b"}, 2, "http://HOST:PORT"},
		{"a source with a slip of the pen", []string{"send", "zomo"}, 1, "did you mean zoom?"},
		{"a provider with a slip of the pen", []string{"send", "strpie", "--secret", "s"}, 2, "did you mean stripe?"},
		{"what is right is said of the command", []string{"send", "zoom", "x"}, 2, "write grapnel send SOURCE [flags]\nSee 'grapnel send --help'."},
	} {
		t.Run(test.name, func(t *testing.T) {
			got := run(t, r.environ, test.args...)
			require.Equal(t, test.code, got.code, got.out+got.err)
			require.Contains(t, got.err, test.err)
			require.Empty(t, got.out)
		})
	}
	t.Run("a receiver that sends elsewhere is not followed for ever", func(t *testing.T) {
		s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/", http.StatusTemporaryRedirect) }))
		defer s.Close()
		require.Equal(t, 1, run(t, r.environ, "send", "zoom", "--url", s.URL).code)
	})
}

func base64Of(b []byte) string { return base64.StdEncoding.EncodeToString(b) }

func TestSendCompletesSourcesAndTheirTypes(t *testing.T) {
	r := receive(t, zoomOnly+"  pay: {provider: stripe, secrets: [whsec_for_the_tests_alone]}\n")
	complete := func(args ...string) string { return run(t, r.environ, append([]string{"__complete"}, args...)...).out }
	require.Equal(t, "pay\tStripe\nzoom\tZoom\n:4\n", complete("send", ""))
	require.Contains(t, complete("send", "pay", "--type", ""), "payment_intent.succeeded\n")
	require.Contains(t, complete("send", "zoom", "--type", ""), "meeting.ended\n")
	require.Contains(t, complete("send", "--provider", ""), "aws-sns\n")
	none := run(t, []string{"GRAPNEL_CONFIG=" + filepath.Join(t.TempDir(), "none.yaml")}, "__complete", "send", "")
	require.Contains(t, none.out, "github\n", "without a configuration, the providers")
}

func TestASlipOfThePenInACommandIsAnsweredWithTheRightOne(t *testing.T) {
	for _, args := range [][]string{{"chekc"}, {"dlq", "lsit"}, {"spool", "exprot"}, {"providers", "strpe"}, {"send", "--provider", "strpe", "--secret", "s", "x"}} {
		got := run(t, []string{"GRAPNEL_CONFIG=" + filepath.Join(t.TempDir(), "none.yaml")}, args...)
		require.Equal(t, 2, got.code, args)
		require.Regexp(t, `(?i)did you mean`, got.err, args)
		require.Regexp(t, `check|list|export|stripe`, got.err, args)
	}
}
