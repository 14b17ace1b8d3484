package alert

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"go.uber.org/zap"
)

// Format is the format of the messages to a target.
type Format string

// The formats.
const (
	// FormatJSON is our own. If the target has a secret, the message is signed as Standard Webhooks
	// says.
	FormatJSON Format = "json"
	// FormatSlack is the format of Slack's incoming webhooks, which other services take too.
	FormatSlack Format = "slack"
	// FormatPagerDuty is the format of PagerDuty's Events API v2.
	FormatPagerDuty Format = "pagerduty"
)

// Target is an HTTP endpoint that is told of alerts.
type Target struct {
	Name   string
	Format Format
	// RoutingKey identifies the service at PagerDuty; other formats don't use it.
	RoutingKey string
	// Post sends a body once; id is the same in every try of a message.
	Post func(ctx context.Context, id string, body []byte) error
}

// retryDelays are the delays between the tries.
func retryDelays() []time.Duration {
	return []time.Duration{time.Second, 5 * time.Second, 30 * time.Second, 2 * time.Minute}
}

// deliver sends a change, and tries again after each of retryDelays until the target accepts it.
func (t Target) deliver(ctx context.Context, c Change, log *zap.Logger) {
	body, err := t.Body(c)
	for _, wait := range append(retryDelays(), 0) {
		if err == nil {
			err = t.Post(ctx, c.ID(), body)
		}
		if err == nil {
			return
		}
		if wait == 0 {
			break
		}
		log.Warn("a target of alerts can't be told; trying again", zap.String("target", t.Name), zap.Duration("in", wait), zap.Error(err))
		time.Sleep(wait)
		err = nil
	}
	log.Error("a target was not told of an alert", zap.String("target", t.Name), zap.String("alert", c.Rule), zap.Error(err))
}

// Body writes a change in the target's format.
func (t Target) Body(c Change) ([]byte, error) {
	var v any
	switch t.Format {
	case FormatSlack:
		v = slackMessage(c)
	case FormatPagerDuty:
		v = t.pagerDuty(c)
	default:
		v = ownMessage(c)
	}
	b, err := json.Marshal(v)
	if err != nil {
		return nil, fmt.Errorf("write an alert: %w", err)
	}
	return b, nil
}

// message is our own format.
type message struct {
	Type      string    `json:"type"`
	Timestamp time.Time `json:"timestamp"`
	Data      Alert     `json:"data"`
}

func ownMessage(c Change) message {
	if c.On {
		return message{"grapnel.alert.on", c.Since, c.Alert}
	}
	return message{"grapnel.alert.off", c.Ended, c.Alert}
}

func slackMessage(c Change) map[string]string {
	text := fmt.Sprintf(":rotating_light: *%s*: %s\n<%s|What to do>", c.Rule, escapeSlack(c.Text), c.Runbook)
	if !c.On {
		text = fmt.Sprintf(":white_check_mark: *%s* is over after %s: %s", c.Rule, Ago(c.Ended.Sub(c.Since)), escapeSlack(c.Text))
	}
	return map[string]string{"text": text}
}

// escapeSlack escapes the three characters that have a meaning in Slack's text, because an error
// message may contain a stranger's text.
func escapeSlack(s string) string {
	out := make([]rune, 0, len(s))
	for _, r := range s {
		switch r {
		case '&':
			out = append(out, []rune("&amp;")...)
		case '<':
			out = append(out, []rune("&lt;")...)
		case '>':
			out = append(out, []rune("&gt;")...)
		default:
			out = append(out, r)
		}
	}
	return string(out)
}

// maxSummary is the length of PagerDuty's summary in characters.
const maxSummary = 1024

func (t Target) pagerDuty(c Change) map[string]any {
	action := "resolve"
	if c.On {
		action = "trigger"
	}
	summary := []rune(c.Text)
	return map[string]any{
		"routing_key":  t.RoutingKey,
		"event_action": action,
		"dedup_key":    "grapnel:" + c.Key(),
		"payload": map[string]any{
			"summary":   string(summary[:min(len(summary), maxSummary)]),
			"source":    "grapnel",
			"severity":  string(c.Severity),
			"timestamp": c.Since,
			"class":     c.Rule,
			"component": c.Subject,
		},
		"links": []map[string]string{{"href": c.Runbook, "text": "Runbook"}},
	}
}
