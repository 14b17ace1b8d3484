package series

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"time"
)

// fileLine is one line of the file: the values of one minute or hour. Lines of the same minute or
// hour add up.
type fileLine struct {
	// Unit counts minutes since 1970, or hours if Hour is set.
	Unit int64 `json:"t"`
	Hour bool  `json:"hour,omitempty"`
	// Old is set for a minute whose values are in the line of its hour already.
	Old  bool               `json:"old,omitempty"`
	Sum  map[string]float64 `json:"sum,omitempty"`
	Most map[string]float64 `json:"most,omitempty"`
	Last map[string]float64 `json:"last,omitempty"`
}

func (l *fileLine) put(name string, m mergeMode, v float64) {
	at := map[mergeMode]*map[string]float64{mergeSum: &l.Sum, mergeMost: &l.Most, mergeLast: &l.Last}[m]
	if *at == nil {
		*at = map[string]float64{}
	}
	old, ok := (*at)[name]
	switch {
	case m == mergeSum:
		v += old
	case m == mergeMost && ok:
		v = max(v, old)
	}
	(*at)[name] = v
}

// each calls do for every value of the line.
func (l *fileLine) each(do func(name string, m mergeMode, v float64)) {
	for m, values := range map[mergeMode]map[string]float64{mergeSum: l.Sum, mergeMost: l.Most, mergeLast: l.Last} {
		for name, v := range values {
			do(name, m, v)
		}
	}
}

// maxLine is the longest line that is read, in bytes.
const maxLine = 1 << 20

// load reads the file. Damaged lines are skipped.
func (s *Set) load() error {
	f, err := os.Open(s.path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }()
	scanner := bufio.NewScanner(f)
	scanner.Buffer(make([]byte, 0, 64<<10), maxLine)
	for scanner.Scan() {
		var l fileLine
		if json.Unmarshal(scanner.Bytes(), &l) == nil {
			s.addLine(&l)
		}
	}
	if err := scanner.Err(); !errors.Is(err, bufio.ErrTooLong) {
		return err
	}
	return nil
}

// addLine adds a line of the file to the set.
func (s *Set) addLine(l *fileLine) {
	step := time.Minute
	if l.Hour {
		step = time.Hour
	}
	at := time.Unix(l.Unit*int64(step/time.Second), 0)
	// A line of the future comes from a clock that was wrong. In the ring it would bar the values
	// of the present.
	if now := s.now(); at.After(now) || now.Sub(at) > Hours*time.Hour {
		return
	}
	var tiers []*tier
	if !l.Hour && s.now().Sub(at) < Minutes*time.Minute {
		tiers = append(tiers, s.minutes)
	}
	if !l.Old {
		tiers = append(tiers, s.hours)
	}
	for _, t := range tiers {
		t.at(at)
		l.each(func(name string, m mergeMode, v float64) { t.put(at, name, m, v) })
	}
}

// compact writes the whole set to a new file, which replaces the old one.
func (s *Set) compact() error {
	part := s.path + ".part"
	f, err := os.OpenFile(part, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	w := bufio.NewWriter(f)
	e := json.NewEncoder(w)
	var lines []fileLine
	lines = append(lines, s.hours.lines(fileLine{Hour: true})...)
	lines = append(lines, s.minutes.lines(fileLine{Old: true})...)
	for i := range lines {
		err = errors.Join(err, e.Encode(&lines[i]))
	}
	if err = errors.Join(err, w.Flush(), f.Close()); err != nil {
		return err
	}
	if err := os.Rename(part, s.path); err != nil {
		return err
	}
	if s.file != nil {
		_ = s.file.Close() // The old file was replaced, so its errors do not matter.
	}
	s.file, err = os.OpenFile(s.path, os.O_APPEND|os.O_WRONLY, 0o600)
	s.pending, s.lines = nil, 0
	return err
}

// lines writes the tier as lines, the oldest first. Each begins as a copy of like.
func (t *tier) lines(like fileLine) []fileLine {
	var newest int64
	for _, u := range t.units {
		newest = max(newest, u)
	}
	var out []fileLine
	for unit := newest - int64(t.size) + 1; unit <= newest; unit++ {
		if unit <= 0 {
			continue
		}
		i := int(unit % int64(t.size))
		if t.units[i] != unit {
			continue
		}
		l := like
		l.Unit = unit
		for name, r := range t.rows {
			if r.set[i] {
				l.put(name, r.mode, float64(r.values[i]))
			}
		}
		out = append(out, l)
	}
	return out
}

// Flush writes what is pending to the file.
func (s *Set) Flush() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.path == "" {
		s.pending = nil
		return nil
	}
	if s.lines > 2*Minutes {
		return s.compact()
	}
	var text []byte
	for i := range s.pending {
		b, err := json.Marshal(&s.pending[i])
		if err != nil {
			return fmt.Errorf("write the series: %w", err)
		}
		text = append(append(text, b...), '\n')
	}
	if _, err := s.file.Write(text); err != nil {
		return fmt.Errorf("write the series: %w", err)
	}
	s.lines += len(s.pending)
	s.pending = nil
	return nil
}

// flushEvery is the interval of flushes; a kill loses at most what came since the last one.
const flushEvery = time.Minute

// Run flushes the file at intervals until ctx is done, and then closes it. Errors of the disk go to
// fault and do not end Run.
func (s *Set) Run(ctx context.Context, fault func(error)) {
	tick := time.NewTicker(flushEvery)
	defer tick.Stop()
	s.Alive()
	for {
		select {
		case <-ctx.Done():
			if err := s.Close(); err != nil {
				fault(err)
			}
			return
		case <-tick.C:
			s.Alive()
			if err := s.Flush(); err != nil {
				fault(err)
			}
		}
	}
}

// Close writes what is pending and closes the file.
func (s *Set) Close() error {
	err := s.Flush()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.file != nil {
		err = errors.Join(err, s.file.Close())
	}
	return err
}
