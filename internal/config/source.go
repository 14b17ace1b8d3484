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

// Source is a sender. It sends its events to POST /webhooks/{name}.
type Source struct {
	// Name is the source's key in the file.
	Name string `yaml:"-"`
	// Provider names a preset, one of those that `grapnel providers` lists. A source has either
	// Provider or Verify.
	Provider string `yaml:"provider"`
	// Verify says how the requests of a sender without a preset are verified. It is written as
	// presets are.
	Verify *verify.Profile `yaml:"verify" json:"-"`
	// Params are the values of the settings that a preset asks for.
	Params map[string]Secret `yaml:"params"`
	// Secrets are the sender's secrets, the newest first. A signature by any of them is good.
	Secrets []SourceSecret `yaml:"secrets"`
	// Events are the types of the events that are taken; * stands for any text. An empty list
	// takes all.
	Events []string `yaml:"events"`
	// Unmatched says what becomes of an event that no route takes: dead_letter or ignore.
	Unmatched Unmatched `yaml:"unmatched"`
	// Dedupe says how events are told apart. The default is the preset's.
	Dedupe Dedupe `yaml:"dedupe"`
	// Tolerance is how far a request's timestamp may be from now. It replaces the preset's own.
	Tolerance *time.Duration `yaml:"tolerance"`
	// MaxBody is the longest body that is taken.
	MaxBody Size `yaml:"max_body"`
	// AckStatus is the HTTP status that answers an accepted event. The default is the preset's,
	// else 200.
	AckStatus int `yaml:"ack_status"`
	// Ack is the answer to an accepted event, where it is to differ from the preset's. ack.status
	// and ack_status mean the same.
	Ack SourceAck `yaml:"ack"`
	// Revive replays a dead letter when its sender sends the event again.
	Revive bool `yaml:"revive"`
	// KeepHeaders names the headers of a request that are kept with its event; * stands for any
	// text. Credentials and signatures are never kept; the body's type and coding always are.
	KeepHeaders []string `yaml:"keep_headers"`
	// BasicAuth asks for a user name and a password in addition to the signature.
	BasicAuth *BasicAuth `yaml:"basic_auth"`
	// Token asks for a header with a fixed value in addition to the signature.
	Token *Token `yaml:"token"`
	// RequireHTTPS refuses requests that did not come over TLS.
	RequireHTTPS bool `yaml:"require_https"`
	// AllowIPs are the addresses from which events may come. Without any, all may send.
	AllowIPs AllowIPs `yaml:"allow_ips"`
	// RateLimit bounds the source's verified requests.
	RateLimit Rate `yaml:"rate_limit"`
	// RateLimitIP bounds the requests of each client address, before verification.
	RateLimitIP Rate `yaml:"rate_limit_ip"`
	// OrderBy is reserved for ordered handling and must be empty.
	OrderBy string `yaml:"order_by"`
	// URL is the public URL that the sender was given, for signatures that cover it. Without it
	// the URL is taken from the request.
	URL string `yaml:"url"`
	// Development makes the source take samples that 'grapnel send' has signed with a key of this
	// machine, for senders that sign with a private key. The receiver must listen on loopback.
	Development bool `yaml:"development"`
	// Identity says where an event's attributes are found, where that is to differ from the
	// preset's.
	Identity Identity `yaml:"identity"`

	// Verifier is compiled from the profile with all settings above merged in.
	Verifier *verify.Verifier `yaml:"-" json:"-"`
}

// SourceAck is the answer to an accepted event.
type SourceAck struct {
	// Status is the HTTP status of the answer.
	Status int `yaml:"status"`
	// Body is the body of the answer.
	Body string `yaml:"body"`
	// ContentType is the media type of Body. The default is application/json if Body is JSON,
	// else text/plain.
	ContentType string `yaml:"content_type"`
	// Empty says to answer without a body.
	Empty bool `yaml:"empty"`
}

// SourceSecret is one secret of a source. In the file it is a text, or a mapping where its time
// is bounded or the sender names its keys.
type SourceSecret struct {
	// Value is the secret's text.
	Value Secret `yaml:"value"`
	// ValidFrom is the time from which the secret counts. Without it the secret counts at once.
	ValidFrom time.Time `yaml:"valid_from"`
	// ValidUntil is the time until which the secret counts. Without it the secret counts for
	// ever.
	ValidUntil time.Time `yaml:"valid_until"`
	// KeyID is the name that the sender has for the key.
	KeyID string `yaml:"key_id"`
}

// Credentials gives the secrets in the form that the verifier takes.
func (s *Source) Credentials() []verify.Secret {
	out := make([]verify.Secret, len(s.Secrets))
	for i, e := range s.Secrets {
		out[i] = verify.Secret{Value: e.Value.Reveal(), KeyID: e.KeyID, From: e.ValidFrom, Until: e.ValidUntil}
	}
	return out
}

// Profile gives the complete profile of the source: the preset or the verify block with the
// source's own settings merged in. Its Params may hold secrets.
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
	// UnmatchedIgnore closes the event as handled.
	UnmatchedIgnore Unmatched = "ignore"
)

// Dedupe says how events of a source are told apart. In the file it is one of the words id,
// fields, body and none, or a mapping with fields of your own.
type Dedupe struct {
	// Mode is id, fields, body or none.
	Mode DedupeMode `yaml:"mode"`
	// Fields are the parts of the key when Mode is fields.
	Fields []event.Field `yaml:"fields"`
}

// DedupeMode says what an event's ID is made from.
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
	// Username is the user name that the sender must give.
	Username string `yaml:"username"`
	// Password is the password that goes with Username.
	Password Secret `yaml:"password"`
}

// Token is a header that must hold a value.
type Token struct {
	// Header is the name of the header.
	Header string `yaml:"header"`
	// Value is the value that the header must hold.
	Value Secret `yaml:"value"`
}

// AllowIPs are the addresses from which events may come. In the file it is a list of CIDRs and
// addresses, or a mapping where more of them are read from elsewhere.
type AllowIPs struct {
	// CIDRs are networks and single addresses.
	CIDRs []netip.Prefix `yaml:"cidrs"`
	// From is where more addresses are read: file:PATH or an https URL. A relative path starts at
	// the configuration's directory. The list has a CIDR on each line, or is JSON.
	From string `yaml:"from"`
	// Key names the member that holds the list where From is a JSON object, such as hooks in
	// GitHub's /meta.
	Key string `yaml:"key"`
	// Refresh is how often From is read again.
	Refresh time.Duration `yaml:"refresh"`
}

// Given tells whether any restriction is configured.
func (a AllowIPs) Given() bool { return len(a.CIDRs) > 0 || a.From != "" }

// Rate is a token bucket: Rate requests a second, and Burst at once.
type Rate struct {
	// Rate is how many requests a second are allowed; 0 is no limit.
	Rate float64 `yaml:"rate"`
	// Burst is how many requests are allowed at once.
	Burst int `yaml:"burst"`
}

// Identity says where an event's attributes are found, written as header:X or body:path.
type Identity struct {
	// Type says where the event's type is found.
	Type string `yaml:"type"`
	// ID says where the sender's own ID of the event is found.
	ID string `yaml:"id"`
	// Subject says where it is found what the event is about.
	Subject string `yaml:"subject"`
	// Time says where it is found when the event happened.
	Time string `yaml:"time"`
	// TimeFormat says how Time is written: rfc3339, s, ms or a layout of Go's time package.
	TimeFormat string `yaml:"time_format"`
}

// SetDefaults sets the values of keys that the file does not give.
func (s *Source) SetDefaults() {
	s.Unmatched = UnmatchedDeadLetter
	s.MaxBody = 1 << 20
	s.Revive = true
	s.AllowIPs = AllowIPs{Key: "hooks", Refresh: time.Hour}
}

// decodeNode reads a secret: a text, or a mapping with the times between which it counts.
func (s *SourceSecret) decodeNode(r *fileReading, n *yamlNode, path string) {
	if n.kind == kindMapping {
		r.structure(reflect.ValueOf(s).Elem(), n, path)
		return
	}
	r.scalar(reflect.ValueOf(&s.Value).Elem(), n, path)
}

// decodeNode reads a list of addresses, or a mapping that says where more are read.
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

// dedupeField is one part of the key by which events are told apart: a dotted path into the body,
// or a mapping of its key and the paths that may hold its value.
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
