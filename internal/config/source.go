package config

import (
	"fmt"
	"net/netip"
	"reflect"
	"strings"
	"time"

	"github.com/grapnel/grapnel/internal/event"
	"github.com/grapnel/grapnel/internal/verify"
)

// Source is a sender we know and its door, POST /webhooks/{name}.
type Source struct {
	// Name is its key in the file.
	Name string `yaml:"-"`
	// Provider names a preset, one of those that `grapnel providers` lists. Either
	// this or Verify is given.
	Provider string `yaml:"provider"`
	// Verify is the rule of a sender that has no preset, in the grammar of the presets.
	Verify *verify.Profile `yaml:"verify" json:"-"`
	// Params are the values of the settings that a preset asks for.
	Params map[string]Secret `yaml:"params"`
	// Secrets are tried all, the newest first.
	Secrets []SourceSecret `yaml:"secrets"`
	// Events are the types that are taken, patterns allowed; empty takes all.
	Events []string `yaml:"events"`
	// Unmatched says what becomes of an event that no route takes: dead_letter or ignore.
	Unmatched Unmatched `yaml:"unmatched"`
	// Dedupe is how events are told apart; the preset's where it is not given.
	Dedupe Dedupe `yaml:"dedupe"`
	// Tolerance replaces the preset's window around now.
	Tolerance *time.Duration `yaml:"tolerance"`
	// MaxBody is the longest body that is taken.
	MaxBody Size `yaml:"max_body"`
	// AckStatus is the status of an accepted event; the preset's, else 200.
	AckStatus int `yaml:"ack_status"`
	// Ack is what the sender is answered when its event is taken, where that is not what
	// the preset says. Its status is that of ack_status too.
	Ack SourceAck `yaml:"ack"`
	// Revive replays a dead letter when its sender sends the event again.
	Revive bool `yaml:"revive"`
	// KeepHeaders are the sender's headers that are kept with an event, patterns allowed.
	// Credentials and signatures never are; the body's type and coding always are.
	KeepHeaders []string `yaml:"keep_headers"`
	// BasicAuth asks for a user name and a password beside the signature.
	BasicAuth *BasicAuth `yaml:"basic_auth"`
	// Token asks for a header with a fixed value beside the signature.
	Token *Token `yaml:"token"`
	// RequireHTTPS refuses requests that did not come by TLS.
	RequireHTTPS bool `yaml:"require_https"`
	// AllowIPs are the clients that may send; none given allows all.
	AllowIPs AllowIPs `yaml:"allow_ips"`
	// RateLimit bounds the verified requests of the source.
	RateLimit Rate `yaml:"rate_limit"`
	// RateLimitIP bounds the requests of each client address, before verification.
	RateLimitIP Rate `yaml:"rate_limit_ip"`
	// OrderBy is reserved for ordered handling and must be empty.
	OrderBy string `yaml:"order_by"`
	// URL is the public URL the sender was configured with, for signatures that
	// cover it; empty takes it from the request.
	URL string `yaml:"url"`
	// Development takes samples too that 'grapnel send' has signed with a key of this
	// machine, for senders that sign with a key of their own. The receiver must listen on
	// loopback.
	Development bool `yaml:"development"`
	// Identity replaces where the preset finds an event's attributes.
	Identity Identity `yaml:"identity"`

	// Verifier is the profile with everything above merged in, compiled.
	Verifier *verify.Verifier `yaml:"-" json:"-"`
}

// SourceAck is the answer to an event that was taken.
type SourceAck struct {
	// Status is that of the answer.
	Status int `yaml:"status"`
	// Body is the whole body, of ContentType; application/json where it is not given and
	// the body is JSON, else text/plain.
	Body string `yaml:"body"`
	// ContentType is the media type of Body.
	ContentType string `yaml:"content_type"`
	// Empty answers without a body.
	Empty bool `yaml:"empty"`
}

// SourceSecret is one secret of a source: in the file a string, or a mapping
// when its time is bounded or the sender names its keys.
type SourceSecret struct {
	// Value is the text that the sender shows or was given.
	Value Secret `yaml:"value"`
	// ValidFrom is when the secret begins to count; not given: at once.
	ValidFrom time.Time `yaml:"valid_from"`
	// ValidUntil is when the secret no longer counts; not given: never.
	ValidUntil time.Time `yaml:"valid_until"`
	// KeyID is the sender's name of the key.
	KeyID string `yaml:"key_id"`
}

// Credentials are the secrets as the verifier takes them.
func (s *Source) Credentials() []verify.Secret {
	out := make([]verify.Secret, len(s.Secrets))
	for i, e := range s.Secrets {
		out[i] = verify.Secret{Value: e.Value.Reveal(), KeyID: e.KeyID, From: e.ValidFrom, Until: e.ValidUntil}
	}
	return out
}

// Profile is the complete profile of the source: the preset or the verify
// block, with the source's own settings merged in. Its Params may hold secrets.
func (s *Source) Profile() verify.Profile { return s.Verifier.Profile() }

// Format prints the source's name, whatever the verb: its profile's params may
// hold secrets.
func (s Source) Format(f fmt.State, _ rune) { _, _ = fmt.Fprintf(f, "config.Source(%s)", s.Name) }

// Unmatched says what becomes of an event that no route takes.
type Unmatched string

// The values of Unmatched.
const (
	// UnmatchedDeadLetter keeps the event as a dead letter.
	UnmatchedDeadLetter Unmatched = "dead_letter"
	// UnmatchedIgnore closes it as handled.
	UnmatchedIgnore Unmatched = "ignore"
)

// Dedupe is how events of a source are told apart: in the file one of the words id,
// fields, body and none, or a mapping with fields of your own.
type Dedupe struct {
	// Mode is id, fields, body or none.
	Mode DedupeMode `yaml:"mode"`
	// Fields make the key when Mode is fields.
	Fields []event.Field `yaml:"fields"`
}

// DedupeMode is what an event's ID is made from.
type DedupeMode string

// The modes of Dedupe.
const (
	DedupeID     DedupeMode = "id"
	DedupeFields DedupeMode = "fields"
	DedupeBody   DedupeMode = "body"
	DedupeSigned DedupeMode = "signed"
	DedupeNone   DedupeMode = "none"
)

// BasicAuth are the credentials of HTTP Basic authentication.
type BasicAuth struct {
	// Username is what the sender has to name.
	Username string `yaml:"username"`
	// Password belongs to it.
	Password Secret `yaml:"password"`
}

// Token is a header that must hold a value.
type Token struct {
	// Header is the name of the header.
	Header string `yaml:"header"`
	// Value is what it must hold.
	Value Secret `yaml:"value"`
}

// AllowIPs are the clients that may send: in the file a list of CIDRs and
// addresses, or a mapping when more of them are read from elsewhere.
type AllowIPs struct {
	// CIDRs are networks and addresses.
	CIDRs []netip.Prefix `yaml:"cidrs"`
	// From is file:PATH, a relative one starting at the configuration's directory,
	// or an https URL with CIDRs, a line each, or JSON.
	From string `yaml:"from"`
	// Key is the member of a JSON object that holds the list, as hooks does in
	// GitHub's /meta.
	Key string `yaml:"key"`
	// Refresh is how often From is read again.
	Refresh time.Duration `yaml:"refresh"`
}

// Given tells whether any restriction is configured.
func (a AllowIPs) Given() bool { return len(a.CIDRs) > 0 || a.From != "" }

// Rate is a token bucket: Rate a second, Burst at once. A Rate of 0 is none.
type Rate struct {
	// Rate is how many a second; 0 is no limit.
	Rate float64 `yaml:"rate"`
	// Burst is how many at once.
	Burst int `yaml:"burst"`
}

// Identity says where an event's attributes stand: header:X or body:path.
type Identity struct {
	// Type is where the event's type stands.
	Type string `yaml:"type"`
	// ID is where the sender's own ID of the event stands.
	ID string `yaml:"id"`
	// Subject is where it stands what the event is about.
	Subject string `yaml:"subject"`
	// Time is where it stands when it happened.
	Time string `yaml:"time"`
	// TimeFormat is rfc3339, s, ms or a layout of Go's time package.
	TimeFormat string `yaml:"time_format"`
}

// SetDefaults fills in what holds when a key is not given.
func (s *Source) SetDefaults() {
	s.Unmatched = UnmatchedDeadLetter
	s.MaxBody = 1 << 20
	s.Revive = true
	s.AllowIPs = AllowIPs{Key: "hooks", Refresh: time.Hour}
}

// decodeNode reads a secret: a single value, or a mapping with its bounds.
func (s *SourceSecret) decodeNode(r *fileReading, n *yamlNode, path string) {
	if n.kind == kindMapping {
		r.structure(reflect.ValueOf(s).Elem(), n, path)
		return
	}
	r.scalar(reflect.ValueOf(&s.Value).Elem(), n, path)
}

// decodeNode reads a list of addresses, or a mapping that names where more are.
func (a *AllowIPs) decodeNode(r *fileReading, n *yamlNode, path string) {
	if n.kind == kindSequence {
		r.list(reflect.ValueOf(&a.CIDRs).Elem(), n, path)
		return
	}
	r.structure(reflect.ValueOf(a).Elem(), n, path)
}

// decodeNode reads a mode, or a mapping with the fields that make the key.
func (d *Dedupe) decodeNode(r *fileReading, n *yamlNode, path string) {
	if n.kind != kindMapping {
		r.scalar(reflect.ValueOf(&d.Mode).Elem(), n, path)
		return
	}
	var custom struct {
		Fields []dedupeField `yaml:"fields"`
	}
	r.structure(reflect.ValueOf(&custom).Elem(), n, path)
	d.Mode = DedupeFields
	for _, f := range custom.Fields {
		d.Fields = append(d.Fields, event.Field(f))
	}
	if len(d.Fields) == 0 {
		r.fault(joinPath(path, "fields"), "name the fields that make the key, as [payload.object.uuid, event_ts]")
	}
}

// dedupeField is a field of a dedupe key: a dotted path into the body, or a
// mapping of its key and the paths that may hold its value.
type dedupeField event.Field

func (f *dedupeField) decodeNode(r *fileReading, n *yamlNode, path string) {
	if n.kind != kindMapping {
		var text string
		r.scalar(reflect.ValueOf(&text).Elem(), n, path)
		text = strings.TrimPrefix(text, "body:")
		f.Key, f.Paths = text, []string{text}
		return
	}
	var long struct {
		Key  string   `yaml:"key"`
		From []string `yaml:"from"`
	}
	r.structure(reflect.ValueOf(&long).Elem(), n, path)
	for i, p := range long.From {
		long.From[i] = strings.TrimPrefix(p, "body:")
	}
	f.Key, f.Paths = long.Key, long.From
	if (f.Key == "" || len(f.Paths) == 0) && !r.broken(path) {
		r.fault(path, "give a field its key and the paths it may come from: {key: id, from: [data.id]}")
	}
}
