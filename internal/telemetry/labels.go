package telemetry

import (
	"sync"
	"sync/atomic"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
)

// Other is the label that stands for all unknown values.
const Other = "other"

// Labels are the values that may become labels of metrics. All others are counted as Other, so that
// no stranger can fill the memory with time series.
type Labels struct {
	// Sources are the configured sources.
	Sources []string
}

// knownLabels is Labels as sets, with a cache of attribute sets: making one sorts and hashes, which
// is too slow for each event.
type knownLabels struct {
	sources map[string]bool
	sets    sync.Map // of labelKey to metric.MeasurementOption
	size    atomic.Int64
}

// labelKey is one combination of labels; empty ones are left out.
type labelKey struct{ source, route, label, value string }

// maxSets bounds how many combinations of labels are counted apart. The configuration bounds
// sources, and the code bounds outcomes and reasons, so this only limits the damage of a bug.
const maxSets = 10_000

func newKnownLabels(l Labels) *knownLabels {
	k := &knownLabels{sources: map[string]bool{}}
	for _, s := range l.Sources {
		k.sources[s] = true
	}
	return k
}

func (k *knownLabels) source(s string) string {
	if k.sources[s] {
		return s
	}
	return Other
}

// set returns the attributes of a source, which may be unknown, and of one more label if it is not
// empty. value must be one of the code's own words.
func (k *knownLabels) set(source, label, value string) metric.MeasurementOption {
	return k.option(labelKey{source: k.source(source), label: label, value: value})
}

func (k *knownLabels) option(want labelKey) metric.MeasurementOption {
	if v, ok := k.sets.Load(want); ok {
		return v.(metric.MeasurementOption)
	}
	if k.size.Load() >= maxSets {
		return metric.WithAttributeSet(attribute.NewSet(attribute.String("source", Other)))
	}
	var attrs []attribute.KeyValue
	if want.source != "" {
		attrs = append(attrs, attribute.String("source", want.source))
	}
	if want.route != "" {
		attrs = append(attrs, attribute.String("route", want.route))
	}
	if want.label != "" {
		attrs = append(attrs, attribute.String(want.label, want.value))
	}
	v, loaded := k.sets.LoadOrStore(want, metric.WithAttributeSet(attribute.NewSet(attrs...)))
	if !loaded {
		k.size.Add(1)
	}
	return v.(metric.MeasurementOption)
}
