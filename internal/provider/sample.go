package provider

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/grapnel/grapnel/internal/program"
)

// Samples holds realistic events of a sender.
type Samples struct {
	// ContentType is the content type of the events; by default application/json.
	ContentType string        `yaml:"content_type"`
	Events      []SampleEvent `yaml:"events"`
}

// SampleEvent is a template of one event. ${ms}, ${s} and ${time} stand for its time, ${uuid},
// ${id}, ${token}, ${sha1} and ${digits} for what tells it from others.
type SampleEvent struct {
	Type    string            `yaml:"type"`
	Headers map[string]string `yaml:"headers"`
	Body    string            `yaml:"body"`
	// Handshake is set for a request of a handshake, which is no event.
	Handshake bool `yaml:"handshake"`
}

// Sample is one event, ready to be signed.
type Sample struct {
	Type        string
	Method      string
	ContentType string
	Headers     map[string]string
	Body        []byte
}

// Types gives the event types of which a preset has samples.
func Types(name string) []string {
	p, _ := Lookup(name)
	types := make([]string, len(p.Sample.Events))
	for i, e := range p.Sample.Events {
		types[i] = e.Type
	}
	return types
}

// NewSample makes a sample event of a sender. eventType is one of Types, or empty for the first.
// Different seeds give different events; the same seed and time give the same bytes.
func NewSample(name, eventType, seed string, at time.Time) (Sample, error) {
	p, ok := Lookup(name)
	if !ok {
		return Sample{}, fmt.Errorf("there is no provider %q; '%s' lists them", name, program.Command("providers"))
	}
	for _, e := range p.Sample.Events {
		if eventType == "" || e.Type == eventType {
			return p.Sample.fill(e, seed, at), nil
		}
	}
	return Sample{}, fmt.Errorf("there is no sample of %s %q; use one of %s", p.Name, eventType, strings.Join(Types(name), ", "))
}

func (s Samples) fill(e SampleEvent, seed string, at time.Time) Sample {
	places := samplePlaces(seed, at)
	out := Sample{
		Type: e.Type, Method: "POST", ContentType: s.ContentType,
		Headers: make(map[string]string, len(e.Headers)),
		Body:    []byte(places.Replace(strings.TrimSuffix(e.Body, "\n"))),
	}
	if out.ContentType == "" {
		out.ContentType = "application/json"
	}
	for name, value := range e.Headers {
		out.Headers[name] = places.Replace(value)
	}
	return out
}

func samplePlaces(seed string, at time.Time) *strings.Replacer {
	sum := sha256.Sum256([]byte(seed))
	h := hex.EncodeToString(sum[:])
	var digits strings.Builder
	digits.WriteByte('8')
	for _, b := range sum[:14] {
		digits.WriteByte('0' + b%10)
	}
	return strings.NewReplacer(
		"${ms}", strconv.FormatInt(at.UnixMilli(), 10),
		"${s}", strconv.FormatInt(at.Unix(), 10),
		"${time}", at.UTC().Format("2006-01-02T15:04:05Z"),
		"${uuid}", h[:8]+"-"+h[8:12]+"-4"+h[13:16]+"-8"+h[17:20]+"-"+h[20:32],
		"${id}", h[:24],
		"${token}", h[:50],
		"${sha1}", h[:40],
		"${digits}", digits.String(),
	)
}
