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

// Rejection is one request that the receiver refused.
type Rejection struct {
	Time time.Time `json:"time"`
	// Source is the name of a configured source. It is empty for an unknown one, so that strangers
	// can't make up names.
	Source string `json:"source,omitempty"`
	// Client is the address that the request came from.
	Client string `json:"client,omitempty"`
	// Reason is the receiver's own word for why, Status the status of its answer.
	Reason string `json:"reason"`
	Status int    `json:"status,omitempty"`
	// Detail explains the reason to people; it must hold no secret and no expected value.
	Detail string `json:"detail,omitempty"`
	Method string `json:"method,omitempty"`
	// Path is the path without its query, which can hold a token.
	Path string `json:"path,omitempty"`
	// Headers are the headers, with secrets and signatures masked.
	Headers []Header `json:"headers,omitempty"`
	// Secret names headers to mask besides those with secretWords in their names: the ones that the
	// source's verification reads. It is not kept.
	Secret []string `json:"-"`
	// Body is the body, of which Add keeps the first bytes.
	Body Excerpt `json:"body,omitzero"`
	// BodySize is the length of the whole body in bytes.
	BodySize int `json:"bodySize"`
}

// Header is one header of a request.
type Header struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

// The bounds of what is kept of one request: headers, and bytes of names, values and body.
const (
	maxHeaders = 64
	maxName    = 64
	maxValue   = 256
	maxBody    = 1 << 10
)

// Bounds limit how much is kept in all. Zero means the default.
type Bounds struct {
	// PerSource is the number of requests kept for each source; 50 by default.
	PerSource int
	// Bytes is the memory of all kept requests together; 4 MiB by default.
	Bytes int
}

// Rejections keeps the latest refused requests of each source. A nil *Rejections keeps nothing. It
// is safe for concurrent use.
type Rejections struct {
	bounds Bounds
	mask   atomic.Pointer[secret.Masker]

	mu    sync.Mutex
	rings map[string][]Rejection // the oldest first
	sizes map[string]int         // in bytes, of each ring
	size  int                    // in bytes, of all
}

// NewRejections makes an empty Rejections.
func NewRejections(b Bounds) *Rejections {
	if b.PerSource <= 0 {
		b.PerSource = 50
	}
	if b.Bytes <= 0 {
		b.Bytes = 4 << 20
	}
	return &Rejections{bounds: b, rings: map[string][]Rejection{}, sizes: map[string]int{}}
}

// Hide sets the masker of secrets for the refusals that are added from now on.
func (r *Rejections) Hide(m *secret.Masker) { r.mask.Store(m) }

// Add keeps a refusal, masked and cut to size. It copies all that it keeps, so the caller may reuse
// its buffers.
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
	// Drop refusals of the source that takes the most memory, so that a flood at one source does
	// not remove those of the others.
	for r.size > r.bounds.Bytes {
		r.drop(r.largest())
	}
}

// List returns the kept refusals of a source, or of all sources if it is empty, the latest first.
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

// drop removes the oldest refusal of a source.
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
	// Shift within the array: a slice that only moved on would keep the memory of what was dropped.
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

// keptRejection copies what is kept of a refusal.
func keptRejection(x Rejection, m *secret.Masker) Rejection {
	path, _, _ := strings.Cut(x.Path, "?")
	// Mask the length of the longest secret more than is kept, so that no cut leaves half a secret.
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

// copyOfFirst copies the first n bytes of s, or fewer, so that no character is cut.
func copyOfFirst(s string, n int) string {
	if len(s) <= n {
		return strings.Clone(s)
	}
	for n > 0 && !utf8.RuneStart(s[n]) {
		n--
	}
	return strings.Clone(s[:n]) + "…"
}

// cost is about the memory that a refusal takes, in bytes.
func (x Rejection) cost() int {
	const fixed, perHeader = 320, 32
	n := fixed + len(x.Source) + len(x.Client) + len(x.Reason) + len(x.Detail) + len(x.Method) + len(x.Path) + len(x.Body)
	for _, h := range x.Headers {
		n += perHeader + len(h.Name) + len(h.Value)
	}
	return n
}
