package provider_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"hash/crc32"
	"iter"
	"maps"
	"math/big"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/stretchr/testify/require"

	"github.com/grapnel/grapnel/internal/provider"
	"github.com/grapnel/grapnel/internal/verify"
)

// lawful is one preset under the law that one signature is one event.
type lawful struct {
	name    string
	v       *verify.Verifier
	signs   verify.Secret
	secrets []verify.Secret
	options verify.Options
	// reissued gives the sender's certificate anew, valid at another time.
	reissued func(now time.Time) []byte
}

// newLawful makes a preset whose events the test can sign, by a certificate or a key
// set of the test's own where the sender has one.
func newLawful(t *testing.T, name string) *lawful {
	t.Helper()
	l := &lawful{name: name, v: compile(t, name), options: verify.Options{Now: time.Unix(1_700_000_000, 0)}}
	p := l.v.Profile()
	if !slices.Contains(unsignable(), name) {
		pair := newPair(t, p)
		l.signs, l.secrets = verify.Secret{Value: pair.Signs}, []verify.Secret{{Value: pair.Verifies}}
		return l
	}
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	require.NoError(t, err)
	private, err := x509.MarshalPKCS8PrivateKey(key)
	require.NoError(t, err)
	public, err := x509.MarshalPKIXPublicKey(&key.PublicKey)
	require.NoError(t, err)
	l.signs = verify.Secret{Value: inPEM("PRIVATE KEY", private), KeyID: "test"}
	l.secrets = []verify.Secret{{Value: inPEM("PUBLIC KEY", public)}}
	switch p.Algorithm {
	case "sns":
		l.options.Certificate = certificate(t, key, "sns.amazonaws.com", l.options.Now)
	case "paypal":
		l.reissued = func(now time.Time) []byte {
			return certificate(t, key, "messageverificationcerts.sandbox.paypal.com", now)
		}
		l.options.Certificate = l.reissued(l.options.Now)
		l.secrets = []verify.Secret{{Value: l.signs.KeyID}}
	default:
		set, err := json.Marshal(jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{Key: &key.PublicKey, KeyID: "test", Use: "sig"}}})
		require.NoError(t, err)
		l.options.Fetch = func(context.Context, string) ([]byte, error) { return set, nil }
		if p.JWT.JWKS != "" {
			l.secrets = nil
		}
	}
	return l
}

func inPEM(kind string, der []byte) string {
	return string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}))
}

func certificate(t *testing.T, key *rsa.PrivateKey, name string, now time.Time) []byte {
	t.Helper()
	c := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, DNSNames: []string{name},
		NotBefore: now.Add(-time.Hour), NotAfter: now.Add(time.Hour),
	}
	der, err := x509.CreateCertificate(rand.Reader, c, c, &key.PublicKey, key)
	require.NoError(t, err)
	return []byte(inPEM("CERTIFICATE", der))
}

// sign gives a request as the sender makes it.
func (l *lawful) sign(r *verify.Request) (*verify.Request, error) {
	add, err := l.v.Sign(r, l.signs, l.options.Now)
	if err != nil {
		return nil, err
	}
	signed := copied(r)
	for _, line := range add.Headers {
		signed.Header.(verify.HTTPHeader)[line.Name] = []string{line.Value}
	}
	if add.Body != nil {
		signed.Body = add.Body
	}
	if add.URL != "" {
		signed.URL = add.URL
		_, signed.Query, _ = strings.Cut(add.URL, "?")
	}
	return signed, nil
}

// event takes the steps of the receiver; ok is whether an event was accepted.
func (l *lawful) event(r *verify.Request) (id, digest string, ok bool) {
	r, err := l.v.Decompress(r, 1<<20)
	if err != nil || !l.v.IsEvent(r.Method) {
		return "", "", false
	}
	if a, err := l.v.Handshake(r, l.secrets, verify.Unsigned, l.options); a != nil || err != nil {
		return "", "", false
	}
	if l.v.Verify(r, l.secrets, l.options) != nil {
		return "", "", false
	}
	if a, err := l.v.Handshake(r, l.secrets, verify.Signed, l.options); a != nil || err != nil || !l.v.BodyOK(r) {
		return "", "", false
	}
	events, err := provider.Identify(l.v, l.name, r)
	if err != nil {
		return "", "", false
	}
	// Of a batch, all of what it brings counts, each event once.
	var ids, digests []string
	for _, e := range events {
		if !slices.Contains(ids, e.EventID) {
			ids, digests = append(ids, e.EventID), append(digests, e.Digest)
		}
	}
	return strings.Join(ids, " "), strings.Join(digests, " "), true
}

func copied(r *verify.Request) *verify.Request {
	c := *r
	h := verify.HTTPHeader{}
	for name, values := range r.Header.(verify.HTTPHeader) {
		h[name] = slices.Clone(values)
	}
	c.Header, c.Body = h, bytes.Clone(r.Body)
	return &c
}

// mutant is a request that differs from a genuine one.
type mutant struct {
	how string
	r   *verify.Request
}

// mutants are the ways in which a stranger may change a captured request.
func mutants(r *verify.Request) []mutant {
	var all []mutant
	add := func(how string, change func(*verify.Request)) {
		c := copied(r)
		change(c)
		all = append(all, mutant{how, c})
	}
	add("nothing", func(*verify.Request) {})
	for how, body := range sorted(bodies(r.Body)) {
		add("body: "+how, func(c *verify.Request) { c.Body = body })
	}
	for name, values := range sorted(r.Header.(verify.HTTPHeader)) {
		for how, lines := range sorted(headerLines(values[0])) {
			add("header "+name+": "+how, func(c *verify.Request) {
				if c.Header.(verify.HTTPHeader)[name] = lines; lines == nil {
					delete(c.Header.(verify.HTTPHeader), name)
				}
			})
		}
		add("header "+name+" in small letters", func(c *verify.Request) {
			h := c.Header.(verify.HTTPHeader)
			delete(h, name)
			h[strings.ToLower(name)] = values
		})
	}
	for _, name := range []string{"Content-Type", "Content-Encoding", "X-Event-Type", "Webhook-Id", "Svix-Id", "X-GitHub-Delivery", "Ce-Id"} {
		for _, value := range []string{"application/json", "application/x-www-form-urlencoded", "gzip", "other"} {
			add("header "+name+" is "+value, func(c *verify.Request) { c.Header.(verify.HTTPHeader)[http.CanonicalHeaderKey(name)] = []string{value} })
		}
	}
	for _, method := range []string{"GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS"} {
		add("method "+method, func(c *verify.Request) { c.Method = method })
	}
	for how, address := range sorted(addresses(r.URL)) {
		add("URL: "+how, func(c *verify.Request) {
			c.URL = address
			_, c.Query, _ = strings.Cut(address, "?")
		})
	}
	return append(all, shifts(r)...)
}

// sorted walks a map in the order of its keys, so that every run tries the same.
func sorted[V any](m map[string]V) iter.Seq2[string, V] {
	return func(yield func(string, V) bool) {
		for _, key := range slices.Sorted(maps.Keys(m)) {
			if !yield(key, m[key]) {
				return
			}
		}
	}
}

// bodies are changes of a body: bytes everywhere, and what forms and JSON allow.
func bodies(body []byte) map[string][]byte {
	all := map[string][]byte{"empty": nil}
	step := max(1, len(body)/60)
	for i := 0; i < len(body); i += step {
		for how, with := range map[string]string{"space": " ", "tab": "\t", "zero": "0", "comma": ",", "quote": `"`, "amp": "&", "equals": "=", "byte": "\xff"} {
			all[fmt.Sprintf("%s at %d", how, i)] = slices.Concat(body[:i], []byte(with), body[i:])
		}
		flipped := bytes.Clone(body)
		flipped[i] ^= 1
		all[fmt.Sprintf("bit at %d", i)] = flipped
		upper := bytes.Clone(body)
		upper[i] ^= 0x20
		all[fmt.Sprintf("case at %d", i)] = upper
		all[fmt.Sprintf("cut at %d", i)] = body[:i]
		all[fmt.Sprintf("without the byte at %d", i)] = slices.Concat(body[:i], body[i+1:])
		all[fmt.Sprintf("escaped at %d", i)] = slices.Concat(body[:i], fmt.Appendf(nil, "%%%02X", body[i]), body[i+1:])
		all[fmt.Sprintf("JSON escape at %d", i)] = slices.Concat(body[:i], fmt.Appendf(nil, `\u%04x`, body[i]), body[i+1:])
	}
	for _, tail := range []string{" ", "\n", "\x00", "&", "&=", "&a", "&a=b", "{}", "[]", "1", "0", "\x80" + strings.Repeat("\x00", 63), string(body)} {
		all[fmt.Sprintf("and %.20q", tail)] = slices.Concat(body, []byte(tail))
		all[fmt.Sprintf("%.20q and", tail)] = slices.Concat([]byte(tail), body)
	}
	all["byte order mark"] = slices.Concat([]byte("\ufeff"), body)
	for how, other := range jsonBodies(body) {
		all["JSON "+how] = other
	}
	for how, other := range formBodies(string(body)) {
		all["form "+how] = []byte(other)
	}
	return all
}

// jsonBodies change a JSON body without, or with, changing what it says.
func jsonBodies(body []byte) map[string][]byte {
	all := map[string][]byte{}
	var indented bytes.Buffer
	if json.Indent(&indented, body, "", " ") == nil {
		all["indented"] = indented.Bytes()
	}
	var object map[string]json.RawMessage
	if json.Unmarshal(body, &object) != nil {
		return all
	}
	all["sorted"], _ = json.Marshal(object)
	open := bytes.IndexByte(body, '{') + 1
	for name := range sorted(object) {
		for how, member := range map[string]string{
			"twice": fmt.Sprintf("%q:%s,", name, object[name]), "twice, first null": fmt.Sprintf("%q:null,", name),
			"twice, first other": fmt.Sprintf("%q:\"other\",", name), "twice in capitals": fmt.Sprintf("%q:\"other\",", strings.ToUpper(name)),
		} {
			all[name+" "+how] = slices.Concat(body[:open], []byte(member), body[open:])
		}
		for how, value := range map[string]string{"other": `"other"`, "null": "null", "a list": "[1]", "an object": "{}"} {
			changed := map[string]json.RawMessage{}
			maps.Copy(changed, object)
			changed[name] = json.RawMessage(value)
			all[name+" "+how], _ = json.Marshal(changed)
			delete(changed, name)
			all["without "+name], _ = json.Marshal(changed)
		}
	}
	all["a member more"] = slices.Concat(body[:open], []byte(`"added":1,`), body[open:])
	return all
}

// formBodies change a form without, or with, changing what it says.
func formBodies(body string) map[string]string {
	all := map[string]string{}
	fields := strings.Split(body, "&")
	if !strings.Contains(body, "=") || strings.HasPrefix(body, "{") || strings.HasPrefix(body, "[") {
		return all
	}
	reversed := slices.Clone(fields)
	slices.Reverse(reversed)
	all["in another order"] = strings.Join(reversed, "&")
	for i, field := range fields {
		name, value, _ := strings.Cut(field, "=")
		plain, err := url.QueryUnescape(value)
		if err != nil {
			continue
		}
		with := func(text string) string {
			return strings.Join(slices.Concat(fields[:i], []string{text}, fields[i+1:]), "&")
		}
		all[name+" twice"] = with(field + "&" + field)
		all[name+" twice, then other"] = with(field + "&" + name + "=other")
		all[name+" empty"] = with(name + "=")
		all[name+" unescaped"] = with(name + "=" + plain)
		var escaped strings.Builder
		for _, b := range []byte(name) {
			fmt.Fprintf(&escaped, "%%%02x", b)
		}
		all[name+" escaped"] = with(escaped.String() + "=" + value)
		for n := 1; n < len(name); n++ {
			all[fmt.Sprintf("%s cut at %d", name, n)] = with(url.QueryEscape(name[:n]) + "=" + url.QueryEscape(name[n:]+plain))
		}
		for n := 1; n < min(len(plain), 12); n++ {
			all[fmt.Sprintf("%s takes %d of its value", name, n)] = with(url.QueryEscape(name+plain[:n]) + "=" + url.QueryEscape(plain[n:]))
			all[fmt.Sprintf("%s in two at %d", name, n)] = with(name + "=" + url.QueryEscape(plain[:n]) + "&" + name + "=" + url.QueryEscape(plain[n:]))
		}
	}
	return all
}

// headerLines are changes of a header.
func headerLines(value string) map[string][]string {
	all := map[string][]string{
		"absent": nil, "empty": {""}, "twice": {value, value}, "twice, then other": {value, "other"}, "other, then it": {"other", value},
		"joined": {value + "," + value}, "joined with a space": {value + ", " + value}, "space before": {" " + value}, "space after": {value + " "},
		"capitals": {strings.ToUpper(value)}, "small letters": {strings.ToLower(value)}, "a zero before": {"0" + value}, "a plus before": {"+" + value},
		"a zero after": {value + "0"}, "a fraction": {value + ".0"}, "an exponent": {value + "e0"}, "quoted": {`"` + value + `"`}, "padded": {value + "="},
	}
	for i := range strings.Count(value, ",") {
		parts := strings.Split(value, ",")
		all[fmt.Sprintf("split at comma %d", i)] = []string{strings.Join(parts[:i+1], ","), strings.Join(parts[i+1:], ",")}
		slices.Reverse(parts)
		all["reversed"] = []string{strings.Join(parts, ",")}
	}
	for i := 0; i < min(len(value), 80); i++ {
		b := []byte(value)
		b[i] ^= 1
		all[fmt.Sprintf("bit at %d", i)] = []string{string(b)}
		all[fmt.Sprintf("without %d", i)] = []string{value[:i] + value[i+1:]}
	}
	if name, _, ok := strings.Cut(value, "="); ok {
		for _, more := range []string{"x=1", name + "=1", "t=1", "t=0" + value, "v0=1", "v1=1", "=", "a"} {
			all["and "+more] = []string{value + "," + more}
			all[more+" and"] = []string{more + "," + value}
			all["and with ; "+more] = []string{value + ";" + more}
		}
	}
	return all
}

// addresses are changes of the URL that was called.
func addresses(address string) map[string]string {
	all := map[string]string{
		"a query": address + "?a=b", "an empty query": address + "?", "a fragment": address + "#a", "a slash": address + "/",
		"a space": address + " ", "a bracket": address + "[", "a brace": address + "{", "another path": address + "x",
		"a byte": address + "\x80", "plain HTTP": strings.Replace(address, "https:", "http:", 1), "capitals": strings.Replace(address, "https:", "HTTPS:", 1),
	}
	if u, err := url.Parse(address); err == nil {
		host := u.Host
		for _, port := range []string{":443", ":80", ":8443", ":"} {
			u.Host = host + port
			all["port "+port] = u.String()
		}
		all["no host"] = u.Path
		all["an escape"] = strings.Replace(address, u.Path, strings.Replace(u.Path, "o", "%6F", 1), 1)
		if u.RawQuery != "" {
			all["the query twice"] = address + "&" + u.RawQuery
			all["no query"], _, _ = strings.Cut(address, "?")
		}
		if u.RawQuery == "" {
			all["an escaped slash"] = address + "?a=%2F"
			all["a slash in the query"] = address + "?a=/"
		}
	}
	return all
}

// shifts move bytes over the boundary between any two texts of a request, as where
// parts are joined before they are signed.
func shifts(r *verify.Request) []mutant {
	type spot struct {
		name string
		text string
		set  func(*verify.Request, string)
	}
	spots := []spot{
		{"body", string(r.Body), func(c *verify.Request, s string) { c.Body = []byte(s) }},
		{"URL", r.URL, func(c *verify.Request, s string) { c.URL = s; _, c.Query, _ = strings.Cut(s, "?") }},
		{"method", r.Method, func(c *verify.Request, s string) { c.Method = s }},
	}
	for name, values := range sorted(r.Header.(verify.HTTPHeader)) {
		spots = append(spots, spot{name, values[0], func(c *verify.Request, s string) { c.Header.(verify.HTTPHeader)[name] = []string{s} }})
	}
	for _, leaf := range leaves(r.Body) {
		spots = append(spots, spot{"member " + leaf, leaf, func(c *verify.Request, s string) {
			quoted, _ := json.Marshal(s)
			old, _ := json.Marshal(leaf)
			c.Body = bytes.Replace(c.Body, old, quoted, 1)
		}})
	}
	var all []mutant
	for i, a := range spots {
		for j, b := range spots {
			if i == j {
				continue
			}
			for n := 1; n <= min(3, len(a.text)); n++ {
				c := copied(r)
				a.set(c, a.text[:len(a.text)-n])
				b.set(c, a.text[len(a.text)-n:]+b.text)
				all = append(all, mutant{fmt.Sprintf("%d bytes from the end of %s before %s", n, a.name, b.name), c})
			}
			for n := 1; n <= min(3, len(b.text)); n++ {
				c := copied(r)
				a.set(c, a.text+b.text[:n])
				b.set(c, b.text[n:])
				all = append(all, mutant{fmt.Sprintf("%d bytes from the beginning of %s behind %s", n, b.name, a.name), c})
			}
			c := copied(r)
			a.set(c, a.text+b.text)
			b.set(c, "")
			all = append(all, mutant{"all of " + b.name + " behind " + a.name, c})
		}
	}
	return all
}

// leaves are the first texts of a JSON body.
func leaves(body []byte) []string {
	var texts []string
	d := json.NewDecoder(bytes.NewReader(body))
	for len(texts) < 24 {
		token, err := d.Token()
		if err != nil {
			break
		}
		if s, ok := token.(string); ok && s != "" && !slices.Contains(texts, s) {
			texts = append(texts, s)
		}
	}
	return texts
}

// genuine are requests of a sender: its samples and, where it may send one, a GET
// without a body.
func (l *lawful) genuine(t *testing.T, seed string) []*verify.Request {
	t.Helper()
	var all []*verify.Request
	types := provider.Types(l.name)
	for _, kind := range types[:min(len(types), 3)] {
		if isHandshake(l.name, kind) {
			continue
		}
		s, err := provider.NewSample(l.name, kind, seed, l.options.Now)
		require.NoError(t, err)
		r, err := l.sign(request(s))
		require.NoError(t, err)
		all = append(all, r)
	}
	if l.v.IsEvent("GET") {
		r := request(provider.Sample{Method: "GET"})
		r.URL += "?id=" + seed
		r.Query = "id=" + seed
		r, err := l.sign(r)
		require.NoError(t, err)
		all = append(all, r)
	}
	return all
}

// lawStride is which part of the mutants is tried: one in so many, fewer in a short run.
func lawStride(whole, short int) int {
	if testing.Short() {
		return short
	}
	return whole
}

// One signature, one event: whatever a stranger changes in a captured request, what is
// still accepted has the same ID.
func TestOneSignatureIsOneEvent(t *testing.T) {
	for _, name := range provider.Names() {
		t.Run(name, func(t *testing.T) {
			l := newLawful(t, name)
			if l.v.Traits().Bearer {
				t.Skip("the sender shows a token and signs nothing")
			}
			tried, accepted := 0, 0
			for _, r := range l.genuine(t, "seed") {
				id, digest, ok := l.event(r)
				require.True(t, ok, "the genuine request")
				for i, m := range mutants(r) {
					if i%lawStride(3, 8) != 0 {
						continue
					}
					tried++
					gotID, gotDigest, ok := l.event(m.r)
					if !ok {
						continue
					}
					accepted++
					require.Equal(t, id, gotID, "%s\n%s %s\n%v\n%s", m.how, m.r.Method, m.r.URL, m.r.Header, m.r.Body)
					require.Equal(t, digest, gotDigest, m.how)
				}
			}
			require.Positive(t, accepted)
			t.Logf("%d mutants, %d accepted, all as the same event", tried, accepted)
		})
	}
}

// And its twin: two different signed contents are two events. Where a sender's own ID
// tells events apart, contents of one ID are one event.
func TestTwoSignedContentsAreTwoEvents(t *testing.T) {
	for _, name := range provider.Names() {
		t.Run(name, func(t *testing.T) {
			l := newLawful(t, name)
			if l.v.Traits().Bearer {
				t.Skip("the sender shows a token and signs nothing")
			}
			stride := lawStride(11, 29)
			if slices.Contains(unsignable(), name) {
				stride = 160 // To sign by RSA takes long.
			}
			by := map[string]string{} // What identifies an event, by its ID.
			tried := 0
			for _, r := range append(l.genuine(t, "one"), l.genuine(t, "two")...) {
				for i, m := range mutants(r) {
					if i%stride != 0 {
						continue
					}
					// Sign anew what was changed, as the sender does another event.
					signed, err := l.sign(m.r)
					if err != nil {
						continue
					}
					id, digest, ok := l.event(signed)
					if !ok {
						continue
					}
					tried++
					what := l.identifies(t, signed)
					if other, known := by[id+digest]; known {
						require.Equal(t, other, what, m.how)
					}
					by[id+digest] = what
				}
			}
			require.Greater(t, len(by), 1)
			t.Logf("%d contents signed, %d events", tried, len(by))
		})
	}
}

// identifies is what must tell events apart, found in another way than by the code
// under test.
func (l *lawful) identifies(t *testing.T, r *verify.Request) string {
	t.Helper()
	switch p := l.v.Profile(); p.Dedupe {
	case "id":
		if id := l.v.Identify(r).ID; id != "" {
			return "id " + id
		}
		fallthrough
	case "body":
		if l.v.Traits().SignsBody && len(r.Body) > 0 {
			return string(r.Body)
		}
	case "fields":
		if len(r.Body) == 0 {
			break
		}
		var canonical any
		// A byte order mark says as little as white space does.
		d := json.NewDecoder(bytes.NewReader(bytes.TrimPrefix(r.Body, []byte("\ufeff"))))
		d.UseNumber()
		require.NoError(t, d.Decode(&canonical))
		text, err := json.Marshal(canonical)
		require.NoError(t, err)
		if !bytes.Contains(r.Body, []byte("\xff")) {
			return string(text)
		}
		return string(r.Body)
	}
	if l.v.Profile().Algorithm == "paypal" {
		h := r.Header
		return fmt.Sprint(h.Values("Paypal-Transmission-Id"), h.Values("Paypal-Transmission-Time"), crc32.ChecksumIEEE(r.Body))
	}
	if l.v.Profile().Algorithm == "twilio" {
		// Twilio signs the URL with its port or without.
		r = copied(r)
		if u, err := url.Parse(r.URL); err == nil {
			r.URL = strings.Replace(r.URL, u.Host, u.Hostname(), 1)
		}
	}
	content, err := l.v.Content(r)
	require.NoError(t, err)
	return string(content)
}
