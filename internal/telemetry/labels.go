package telemetry

import (
	"sync"
	"sync/atomic"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
)

// Other is the label of whatever is not among the labels that are known.
const Other = "other"

// Labels are the values that may become labels of metrics. Anything else is
// counted as Other, so that no stranger can fill the memory with time series.
type Labels struct {
	// Sources are the configured sources.
	Sources []string
	// Types are the event types worth a time series each; without any, no metric
	// has a label for the type.
	Types []string
}

// knownLabels is Labels made for looking up, and the attribute sets made of them so
// far: making one sorts and hashes, which a hot path need not do each time.
type knownLabels struct {
	sources, types map[string]bool
	sets           sync.Map // of key to metric.MeasurementOption
	size           atomic.Int64
}

// labelKey is one combination of labels; an empty one is left out.
type labelKey struct{ source, route, label, value, typ string }

// maxSets bounds how many combinations are counted apart. Sources and types are
// bounded by the configuration, outcomes and reasons by the code, so it is a
// net for a mistake of ours.
const maxSets = 10_000

func newKnownLabels(l Labels) *knownLabels {
	k := &knownLabels{sources: map[string]bool{}, types: map[string]bool{}}
	for _, s := range l.Sources {
		k.sources[s] = true
	}
	for _, t := range l.Types {
		k.types[t] = true
	}
	return k
}

func (k *knownLabels) source(s string) string {
	if k.sources[s] {
		return s
	}
	return Other
}

// eventType is empty when types are no label at all.
func (k *knownLabels) eventType(t string) string {
	switch {
	case len(k.types) == 0:
		return ""
	case k.types[t]:
		return t
	default:
		return Other
	}
}

// set is the attributes of a source that may be unknown and, when label is not
// empty, of one more label whose values are the code's own.
func (k *knownLabels) set(source, label, value string) metric.MeasurementOption {
	return k.option(labelKey{source: k.source(source), label: label, value: value})
}

// typed is set with the event's type where that is a label.
func (k *knownLabels) typed(source, typ string) metric.MeasurementOption {
	return k.option(labelKey{source: k.source(source), typ: k.eventType(typ)})
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
	if want.typ != "" {
		attrs = append(attrs, attribute.String("type", want.typ))
	}
	v, loaded := k.sets.LoadOrStore(want, metric.WithAttributeSet(attribute.NewSet(attrs...)))
	if !loaded {
		k.size.Add(1)
	}
	return v.(metric.MeasurementOption)
}
