package meeting

import (
	"cmp"
	"slices"
	"time"
)

// Ledger is what is known of a meeting: a set of facts. Events come late, twice
// and in any order, so nothing is added up as they come. Facts only ever go into
// a set, everything shown is derived from it, and hence the same facts make the
// same ledger whatever their order and however often each was told.
//
// It is bounded, because it travels through Temporal whole. Of each kind the
// earliest facts are kept, as many as limit says; the earliest n of a set do
// not depend on the order of telling either. A webinar of 10,000 people is a
// ledger of about 100 KB that lists the first 500 visits by name and knows the
// number of people to within a few per cent.
type Ledger struct {
	// About is what the latest fact with a topic said, and which fact that was.
	About Said `json:"about,omitzero"`
	// Facts are sorted by kind, time and event.
	Facts []Fact `json:"facts,omitempty"`
	// People counts who joined, those included whose fact was not kept.
	People Sketch `json:"people,omitzero"`
	// Abandoned is no fact. The workflow sets it when it has waited in vain for
	// the meeting's end.
	Abandoned bool `json:"abandoned,omitempty"`
}

// Said is what a fact said of the meeting as a whole.
type Said struct {
	About
	At    time.Time `json:"at,omitzero"`
	Event string    `json:"event,omitempty"`
}

// factLimit is the number of facts kept of one kind.
func factLimit(k Kind) int {
	switch k {
	case Joined, Left:
		return 500
	case Recorded:
		return 10
	case Started, Ended:
		// One each is the rule. Senders that number no instances put a whole
		// series into one ledger.
		return 20
	default:
		return 0
	}
}

// Apply adds a fact to the ledger.
func (l *Ledger) Apply(f Fact) {
	l.about(f)
	f = f.bounded()
	if f.Kind == Joined {
		l.People.Add(f.Person.Key)
	}
	at, known := slices.BinarySearchFunc(l.Facts, f, compareFacts)
	if known {
		return
	}
	l.Facts = slices.Insert(l.Facts, at, f)
	if first, n := l.kind(f.Kind); n > factLimit(f.Kind) {
		l.Facts = slices.Delete(l.Facts, first+n-1, first+n)
	}
}

// about lets the latest fact with a topic say what the meeting is; before any
// came, the latest of those without.
func (l *Ledger) about(f Fact) {
	said := Said{About: f.About.bounded(), At: f.Time.UTC(), Event: f.bounded().Event}
	newer := cmp.Or(
		cmp.Compare(min(len(said.Topic), 1), min(len(l.About.Topic), 1)),
		said.At.Compare(l.About.At),
		cmp.Compare(said.Event, l.About.Event),
	)
	if newer > 0 {
		l.About = said
	}
}

// kind finds the facts of a kind: where they begin and how many they are.
func (l *Ledger) kind(k Kind) (first, n int) {
	byKind := func(f Fact, k Kind) int { return cmp.Compare(f.Kind, k) }
	first, _ = slices.BinarySearchFunc(l.Facts, k, byKind)
	for first+n < len(l.Facts) && l.Facts[first+n].Kind == k {
		n++
	}
	return first, n
}

// of lists the facts of a kind, the earliest first.
func (l *Ledger) of(k Kind) []Fact {
	first, n := l.kind(k)
	return l.Facts[first : first+n]
}

// Over tells whether the meeting has ended and did not start again after that.
func (l *Ledger) Over() bool {
	ended, started := l.of(Ended), l.of(Started)
	if len(ended) == 0 {
		return false
	}
	return len(started) == 0 || !started[len(started)-1].Time.After(ended[len(ended)-1].Time)
}
