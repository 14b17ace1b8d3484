package telemetry

import (
	"encoding/json"
	"fmt"
	"strings"
)

// Dashboard writes the catalogue as a dashboard for Grafana in JSON, one panel for each title in
// it.
func Dashboard() ([]byte, error) {
	const width, height = 12, 8
	var panels []map[string]any
	at := map[string]int{}
	for _, m := range Catalogue() {
		if m.Panel == "" {
			continue
		}
		i, ok := at[m.Panel]
		if !ok {
			i = len(panels)
			at[m.Panel] = i
			panels = append(panels, map[string]any{
				"id": i + 1, "type": "timeseries", "title": m.Panel, "description": m.Help,
				"gridPos":     map[string]int{"x": width * (i % 2), "y": height * (i / 2), "w": width, "h": height},
				"datasource":  map[string]string{"type": "prometheus", "uid": "${datasource}"},
				"targets":     []map[string]string{},
				"fieldConfig": map[string]any{"defaults": map[string]any{"unit": m.unit(), "min": 0}, "overrides": []any{}},
			})
		}
		targets := panels[i]["targets"].([]map[string]string)
		for _, q := range m.queries() {
			q["refId"] = "ABCDEFGH"[len(targets) : len(targets)+1]
			targets = append(targets, q)
		}
		panels[i]["targets"] = targets
	}
	return json.MarshalIndent(map[string]any{
		"title": "grapnel", "uid": "grapnel", "tags": []string{"grapnel"}, "schemaVersion": 39, "version": 1,
		"time": map[string]string{"from": "now-6h", "to": "now"}, "refresh": "30s", "timezone": "browser",
		"templating": map[string]any{"list": []any{map[string]any{
			"name": "datasource", "type": "datasource", "query": "prometheus", "label": "Prometheus",
		}}},
		"annotations": map[string]any{"list": []any{}}, "panels": panels,
	}, "", "  ")
}

// queries are a panel's queries for a metric.
func (m Metric) queries() []map[string]string {
	by := strings.Join(m.Labels, ", ")
	legend := make([]string, 0, len(m.Labels))
	for _, l := range m.Labels {
		legend = append(legend, "{{"+l+"}}")
	}
	query := func(legend, format string, args ...any) map[string]string {
		return map[string]string{"expr": fmt.Sprintf(format, args...), "legendFormat": legend}
	}
	name := strings.TrimPrefix(strings.TrimSuffix(m.Name, "_total"), "grapnel_")
	switch {
	case m.Kind == Counter:
		return []map[string]string{query(strings.TrimSpace(name+" "+strings.Join(legend, " ")), "sum by (%s) (rate(%s[5m]))", by, m.Name)}
	case m.Kind == Histogram:
		grouped := strings.Join(append([]string{"le"}, m.Labels...), ", ")
		var all []map[string]string
		for _, q := range []string{"0.5", "0.99"} {
			all = append(all, query(strings.TrimSpace("p"+strings.TrimPrefix(q, "0.")+" "+strings.Join(legend, " ")),
				"histogram_quantile(%s, sum by (%s) (rate(%s_bucket[5m])))", q, grouped, m.Name))
		}
		return all
	case m.timestamp():
		return []map[string]string{query(strings.Join(legend, " "), "time() - max by (%s) (%s)", by, m.Name)}
	default:
		return []map[string]string{query(strings.TrimSpace(name+" "+strings.Join(legend, " ")), "max by (%s) (%s)", by, m.Name)}
	}
}

func (m Metric) timestamp() bool { return strings.HasSuffix(m.Name, "_timestamp_seconds") }

func (m Metric) unit() string {
	switch {
	case m.Kind == Counter:
		return "ops"
	case strings.HasSuffix(m.Name, "_seconds"):
		return "s"
	case strings.HasSuffix(m.Name, "_bytes"):
		return "bytes"
	default:
		return "short"
	}
}
