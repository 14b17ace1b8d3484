package handlertest

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/goccy/go-yaml"
	"github.com/valyala/fasthttp/fasthttputil"
	"go.uber.org/zap"

	"github.com/grapnel/grapnel/internal/config"
	"github.com/grapnel/grapnel/internal/program"
	"github.com/grapnel/grapnel/internal/provider"
	"github.com/grapnel/grapnel/internal/verify"
	"github.com/grapnel/grapnel/starter"
)

// patience is how long a kit waits for something that should come soon.
const patience = time.Minute

// door is a receiver on a listener within the process.
type door struct {
	engine  engine
	starter *starter.Starter
	client  *http.Client
	config  *config.Config
	// sources holds the sources as they are written in the configuration.
	sources map[string]string
	pairs   map[string]provider.KeyPair
}

func newDoor(t testing.TB, e engine, described map[string]string) *door {
	t.Helper()
	d := &door{engine: e, sources: map[string]string{}, pairs: map[string]provider.KeyPair{}}
	for name, yaml := range described {
		if err := d.add(name, yaml); err != nil {
			t.Fatalf("handlertest: %v", err)
		}
	}
	if len(described) == 0 {
		// A receiver needs at least one source; any will do.
		if err := d.add("generic-hmac", "provider: generic-hmac"); err != nil {
			t.Fatalf("handlertest: %v", err)
		}
	}
	s, err := starter.New(starter.Options{
		Config: d.config, Temporal: e, Namespace: namespaceOf(e), TaskQueue: taskQueue, Observer: noObserver{}, Log: zap.NewNop(), Now: e.now,
	})
	if err != nil {
		t.Fatalf("handlertest: %v", err)
	}
	d.starter = s
	l := fasthttputil.NewInmemoryListener()
	served := make(chan error, 1)
	go func() { served <- s.Serve(l) }()
	d.client = &http.Client{Timeout: patience, Transport: &http.Transport{
		DialContext: func(context.Context, string, string) (net.Conn, error) { return l.Dial() },
	}}
	t.Cleanup(func() {
		d.client.CloseIdleConnections()
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		if err := errors.Join(s.Shutdown(ctx), <-served); err != nil {
			t.Errorf("handlertest: stop the receiver: %v", err)
		}
	})
	return d
}

// noObserver is told of the answers, and keeps nothing of them.
type noObserver struct{}

// Began implements starter.Observer.
func (noObserver) Began() {}

func (noObserver) Answered(starter.Answer) {}

// add adds a source, described as in grapnel.yaml, to the configuration, and gives it a secret.
func (d *door) add(name, yaml string) error {
	profile, err := profileOf(name, yaml)
	if err != nil {
		return err
	}
	pair, err := provider.NewKeyPair(profile)
	if err != nil {
		return fmt.Errorf("source %s: %w", name, err)
	}
	all := maps.Clone(d.sources)
	all[name] = yaml + "\nsecrets: [" + string(quoted(pair.Verifies)) + "]"
	var text strings.Builder
	text.WriteString("sources:\n")
	for _, source := range slices.Sorted(maps.Keys(all)) {
		fmt.Fprintf(&text, "  %s:\n", quoted(source))
		for line := range strings.Lines(all[source]) {
			text.WriteString("    " + line)
		}
		text.WriteString("\n")
	}
	cfg, err := config.Parse("the sources of the test", []byte(text.String()), func(string) (string, bool) { return "", false })
	if err != nil {
		return fmt.Errorf("source %s:\n%w", name, err)
	}
	cfg.Ack.Budget = patience // The machine may be slow, and there is no disk to wait on.
	if d.starter != nil {
		if err := d.starter.Reload(cfg); err != nil {
			return fmt.Errorf("source %s: %w", name, err)
		}
	}
	d.config, d.sources, d.pairs[name] = cfg, all, pair
	return nil
}

func quoted(s string) []byte {
	b, _ := json.Marshal(s) // A string always encodes.
	return b
}

// profileOf reads how the requests of a source are verified.
func profileOf(name, text string) (verify.Profile, error) {
	var source struct {
		Provider string          `yaml:"provider"`
		Verify   *verify.Profile `yaml:"verify"`
	}
	if err := yaml.Unmarshal([]byte(text), &source); err != nil {
		return verify.Profile{}, fmt.Errorf("source %s: %w", name, err)
	}
	if source.Verify != nil {
		return *source.Verify, nil
	}
	profile, ok := provider.Get(source.Provider)
	if !ok {
		return profile, fmt.Errorf("there is no provider %q; '%s' lists them, and handlertest.Source describes "+
			"a source of another name", source.Provider, program.Command("providers"))
	}
	return profile, nil
}

// verifierOf makes the verifier of a provider.
func verifierOf(name string) (*verify.Verifier, error) {
	profile, err := profileOf(name, "provider: "+name)
	if err != nil {
		return nil, err
	}
	v, err := provider.Compile(profile)
	if err != nil {
		return nil, fmt.Errorf("provider %s: %w", name, err)
	}
	return v, nil
}

// savedRequest is a request that can be sent more than once.
type savedRequest struct {
	source  string
	request *verify.Request
	o       sendOptions
}

// makeRequest makes the request of a sample, without a signature.
func (d *door) makeRequest(source, typ string, o sendOptions) (*savedRequest, error) {
	if _, ok := d.sources[source]; !ok {
		if err := d.add(source, "provider: "+source); err != nil {
			return nil, err
		}
	}
	preset := d.config.Sources[source].Provider
	if preset == "" {
		preset = "generic-hmac" // A profile of the test's own: any body will do.
	}
	s, err := newSample(preset, d.config.Sources[source].Verifier.Profile(), typ, d.engine.now(), o)
	if err != nil {
		return nil, err
	}
	return &savedRequest{source: source, request: requestOf(s, "http://grapnel.test/webhooks/"+source), o: o}, nil
}

// requestOf makes a request of a sample. It is not signed.
func requestOf(s provider.Sample, url string) *verify.Request {
	header := http.Header{}
	for name, value := range s.Headers {
		header.Set(name, value)
	}
	if s.ContentType != "" {
		header.Set("Content-Type", s.ContentType)
	}
	return &verify.Request{Method: s.Method, URL: url, Header: verify.HTTPHeader(header), Body: s.Body}
}

// post signs a request and sends it.
func (d *door) post(l *savedRequest) (*Result, error) {
	r, err := d.sign(l)
	if err != nil {
		return nil, err
	}
	req, err := http.NewRequest(r.Method, r.URL, bytes.NewReader(r.Body)) //nolint:noctx // The client has a time-out.
	if err != nil {
		return nil, fmt.Errorf("make the request: %w", err)
	}
	for _, name := range r.Header.Names() {
		req.Header[name] = r.Header.Values(name)
	}
	res, err := d.client.Do(req)
	if err != nil {
		return nil, fmt.Errorf("send the request: %w", err)
	}
	defer func() { _ = res.Body.Close() }()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		return nil, fmt.Errorf("read the answer: %w", err)
	}
	var said struct {
		EventID             string
		Duplicate, Replayed bool
	}
	_ = json.Unmarshal(body, &said) // Some senders want another form of answer.
	result := &Result{ID: said.EventID, Status: res.StatusCode, Answer: string(body), Duplicate: said.Duplicate, Replayed: said.Replayed}
	return result, nil
}

// sign adds the headers that the sender adds. The saved request keeps the event's ID, so that it
// is the same when the event is sent again.
func (d *door) sign(l *savedRequest) (*verify.Request, error) {
	v := d.config.Sources[l.source].Verifier
	secret := verify.Secret{Value: d.pairs[l.source].Signs}
	if l.o.forged {
		pair, err := provider.NewKeyPair(v.Profile())
		if err != nil {
			return nil, fmt.Errorf("make another secret: %w", err)
		}
		secret.Value = pair.Signs
	}
	added, err := v.Sign(l.request, secret, d.engine.now().Add(l.o.skew))
	if err != nil {
		return nil, fmt.Errorf("a sample of %s can't be signed: %w; Handle takes an event to its handlers past the receiver", l.source, err)
	}
	signed := *l.request
	header, _ := l.request.Header.(verify.HTTPHeader)
	header = verify.HTTPHeader(http.Header(header).Clone())
	for _, line := range added.Headers {
		http.Header(header).Set(line.Name, line.Value)
	}
	signed.Header = header
	if len(added.Body) > 0 {
		signed.Body = added.Body
	}
	if _, query, ok := strings.Cut(added.URL, "?"); ok {
		signed.URL += "?" + query
	}
	return &signed, nil
}

// newSample makes a sample event and changes it as the options say.
func newSample(preset string, profile verify.Profile, typ string, at time.Time, o sendOptions) (provider.Sample, error) {
	s, err := provider.Compose(preset, profile, typ, rand.Text(), at)
	if err != nil {
		return s, err //nolint:wrapcheck // It names the provider.
	}
	if o.body != nil {
		s.Body = o.body
	}
	for _, c := range o.set {
		if err := s.Set(c.path, c.value); err != nil {
			return s, err //nolint:wrapcheck // It names the path.
		}
	}
	return s, nil
}
