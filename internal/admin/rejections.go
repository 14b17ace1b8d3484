package admin

import (
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"
	"unicode/utf8"

	"github.com/grapnel/grapnel/internal/secret"
)

// Rejection is one request that the door refused.
type Rejection struct {
	Time time.Time `json:"time"`
	// Source is the name of a configured source; empty for any other, so that
	// strangers can't make up names.
	Source string `json:"source,omitempty"`
	// Client is the address that the request came from.
	Client string `json:"client,omitempty"`
	// Reason is the door's own word for why, Status its answer.
	Reason string `json:"reason"`
	Status int    `json:"status,omitempty"`
	// Detail says more for people; it must hold no secret and no expected value.
	Detail string `json:"detail,omitempty"`
	Method string `json:"method,omitempty"`
	// Path is kept without its query, which can hold a token.
	Path string `json:"path,omitempty"`
	// Headers are kept with secrets and signatures masked.
	Headers []Header `json:"headers,omitempty"`
	// Secret names headers to mask besides those that are known by their names:
	// the ones that the source's verification reads. It is not kept.
	Secret []string `json:"-"`
	// Body is the body; its first bytes are kept.
	Body Excerpt `json:"body,omitzero"`
	// BodySize is the length of the whole body in bytes.
	BodySize int `json:"bodySize"`
}

// Header is one line of a request's head.
type Header struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

// The bounds of what is kept of one request.
const (
	maxHeaders = 64
	maxName    = 64
	maxValue   = 256
	maxBody    = 1 << 10
)

// Bounds are how much is kept in all. Zero values are the defaults.
type Bounds struct {
	// PerSource is the number of requests kept for each source; 50 by default.
	PerSource int
	// Bytes is the memory that all of them may take together; 4 MiB by default.
	Bytes int
}

// Rejections keeps the latest refusals of each source. A nil one keeps nothing.
// It is safe for concurrent use.
type Rejections struct {
	bounds Bounds
	mask   atomic.Pointer[secret.Masker]

	mu    sync.Mutex
	rings map[string][]Rejection // the oldest first
	sizes map[string]int         // in bytes, of each ring
	size  int                    // in bytes, of all
}

// NewRejections makes an empty one.
func NewRejections(b Bounds) *Rejections {
	if b.PerSource <= 0 {
		b.PerSource = 50
	}
	if b.Bytes <= 0 {
		b.Bytes = 4 << 20
	}
	return &Rejections{bounds: b, rings: map[string][]Rejection{}, sizes: map[string]int{}}
}

// Hide sets which secrets are hidden in what is kept from now on.
func (r *Rejections) Hide(m *secret.Masker) { r.mask.Store(m) }

// Add keeps a refusal, masked and cut to size. All that it keeps it copies, so
// the caller may use its buffers again.
func (r *Rejections) Add(x Rejection) {
	if r == nil {
		return
	}
	x = keptRejection(x, r.mask.Load())
	cost := x.cost()
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.rings[x.Source]) >= r.bounds.PerSource {
		r.drop(x.Source)
	}
	r.rings[x.Source] = append(r.rings[x.Source], x)
	r.sizes[x.Source] += cost
	r.size += cost
	// The source that takes the most gives way, so that a flood at one door
	// does not wash away what happened at the others.
	for r.size > r.bounds.Bytes {
		r.drop(r.largest())
	}
}

// List is what is kept of one source, or of all when it is empty, the latest
// first.
func (r *Rejections) List(source string) []Rejection {
	all := []Rejection{}
	if r == nil {
		return all
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	for name, ring := range r.rings {
		if source == "" || source == name {
			all = append(all, ring...)
		}
	}
	slices.Reverse(all)
	slices.SortStableFunc(all, func(a, b Rejection) int { return b.Time.Compare(a.Time) })
	return all
}

// drop forgets the oldest of one source.
func (r *Rejections) drop(source string) {
	ring := r.rings[source]
	cost := ring[0].cost()
	r.size -= cost
	r.sizes[source] -= cost
	if len(ring) == 1 {
		delete(r.rings, source)
		delete(r.sizes, source)
		return
	}
	// Shifted within its array: a slice that only moved on would keep the memory
	// of what was dropped.
	r.rings[source] = slices.Delete(ring, 0, 1)
}

func (r *Rejections) largest() string {
	name, most := "", -1
	for n, s := range r.sizes {
		if s > most || (s == most && n < name) {
			name, most = n, s
		}
	}
	return name
}

// keptRejection is what of a refusal is kept, in memory of its own.
func keptRejection(x Rejection, m *secret.Masker) Rejection {
	path, _, _ := strings.Cut(x.Path, "?")
	// As much more is masked as a secret is long, so that no cut leaves half of one.
	hide := func(text string, n int) string { return copyOfFirst(m.Mask(text[:min(len(text), n+m.Longest())]), n) }
	body := string(x.Body[:min(len(x.Body), maxBody+m.Longest())])
	body = m.Mask(body)
	y := Rejection{
		Time: x.Time, Source: copyOfFirst(x.Source, maxName), Client: copyOfFirst(x.Client, maxName), Reason: copyOfFirst(x.Reason, maxName),
		Status: x.Status, Detail: hide(x.Detail, maxValue), Method: copyOfFirst(x.Method, maxName), Path: hide(path, maxValue),
		Body: Excerpt(body[:min(len(body), maxBody)]), BodySize: max(x.BodySize, len(x.Body)),
	}
	y.Headers = make([]Header, 0, min(len(x.Headers), maxHeaders))
	for _, h := range x.Headers[:min(len(x.Headers), maxHeaders)] {
		y.Headers = append(y.Headers, Header{hide(h.Name, maxName), hide(mask(h, x.Secret), maxValue)})
	}
	return y
}

// copyOfFirst is a copy of the first n bytes of s, not torn within a character.
func copyOfFirst(s string, n int) string {
	if len(s) <= n {
		return strings.Clone(s)
	}
	for n > 0 && !utf8.RuneStart(s[n]) {
		n--
	}
	return strings.Clone(s[:n]) + "…"
}

// cost is about the memory that a refusal takes.
func (x Rejection) cost() int {
	const fixed, perHeader = 320, 32
	n := fixed + len(x.Source) + len(x.Client) + len(x.Reason) + len(x.Detail) + len(x.Method) + len(x.Path) + len(x.Body)
	for _, h := range x.Headers {
		n += perHeader + len(h.Name) + len(h.Value)
	}
	return n
}
