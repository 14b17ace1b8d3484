package bench

import (
	"context"
	"time"
)

// What tests look at from outside.

func (s *Series) Add(v float64) { s.add(v) }

func NewTimes(all []time.Duration) Times { return newTimes(all) }

func CarriesEvent(req, reply any) bool { return carriesEvent(req, reply) }

func EventID(answer []byte) string { return eventID(answer) }

const BodyBytes = bodyBytes

type Batch = batch

func NewBatch(n int, secret string) *Batch { return newBatch(n, secret) }

func (b *batch) Body(i int) []byte               { return b.requests[i].body }
func (b *batch) Handle(body []byte) error        { return b.handle(body) }
func (b *batch) Counts() (left, again int64)     { return b.left.Load(), b.repeats.Load() }
func (b *batch) Await(ctx context.Context) error { return b.await(ctx) }
func (b *batch) Latencies() []time.Duration      { return b.latencies() }

// CountSyncs counts what a process syncs; done ends it.
func CountSyncs(pid int) (count func() int64, done func()) {
	s := countSyncs(pid)
	return s.count, s.close
}
