package e2e_test

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/grapnel/grapnel/activities/handler"
)

const standardKey = "a key of twenty-four bytes"

// standard posts a body as Standard Webhooks has it.
func (s *system) standard(t *testing.T, source, id, body string) answer {
	t.Helper()
	ts := strconv.FormatInt(time.Now().Unix(), 10)
	mac := hmac.New(sha256.New, []byte(standardKey))
	_, _ = mac.Write([]byte(id + "." + ts + "." + body))
	return s.request(t, source, body, map[string]string{
		"Content-Type": "application/json", "webhook-id": id, "webhook-timestamp": ts,
		"webhook-signature": "v1," + base64.StdEncoding.EncodeToString(mac.Sum(nil)),
	})
}

func TestWhatARepeatIsIsUpToItsSource(t *testing.T) {
	t.Parallel()
	src := "sources:\n"
	for _, mode := range []string{"id", "body", "none"} {
		src += fmt.Sprintf("  by-%s:\n    provider: standard-webhooks\n    dedupe: %s\n    secrets: [\"whsec_%s\"]\n",
			mode, mode, base64.StdEncoding.EncodeToString([]byte(standardKey)))
	}
	s := up(t, src, func(table *handler.Table) {
		handler.On(table, "*", "*", func(context.Context, handler.Event[[]byte]) error { return nil })
	})
	body, other := `{"type":"a.b","test":"`+t.Name()+`"}`, `{"type":"a.b","test":"`+t.Name()+` more"}`
	for _, c := range []struct {
		name, source             string
		sameID, sameBody, repeat bool
	}{
		{"by id, the same id and body", "by-id", true, true, true},
		{"by id, the same body under another id", "by-id", false, true, false},
		{"by id, another body under the same id", "by-id", true, false, true},
		{"by body, the same id and body", "by-body", true, true, true},
		{"by body, the same body under another id", "by-body", false, true, true},
		{"by body, another body under the same id", "by-body", true, false, false},
		{"by nothing, the same id and body", "by-none", true, true, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			id, text := "msg_"+strings.ReplaceAll(c.name, " ", "-"), strings.ReplaceAll(body, "more", c.name)
			text = strings.Replace(text, "a.b", "a."+strings.ReplaceAll(c.name, " ", "-"), 1)
			first := s.standard(t, c.source, id, text)
			require.Equal(t, http.StatusOK, first.Status, first.Error)
			require.False(t, first.Duplicate)
			if !c.sameID {
				id += "-2"
			}
			if !c.sameBody {
				text = strings.Replace(other, "a.b", "a."+strings.ReplaceAll(c.name, " ", "-"), 1)
			}
			second := s.standard(t, c.source, id, text)
			require.Equal(t, http.StatusOK, second.Status, second.Error)
			require.Equal(t, c.repeat, second.Duplicate)
			require.Equal(t, c.repeat, first.EventID == second.EventID)
			require.NoError(t, s.result(t, second.EventID))
		})
	}
}

func TestTwoEventsOfOneKeyAreBothHandledAndBothKnown(t *testing.T) {
	t.Parallel()
	bodies := make(chan string, 4)
	s := up(t, yaml(), func(table *handler.Table) {
		handler.On(table, "zoom", "*", func(_ context.Context, e handler.Event[[]byte]) error {
			bodies <- string(e.Body)
			return nil
		})
	})
	// Two people join within one millisecond: Zoom gives both the same key.
	ann := strings.Replace(zoom(t, "meeting.participant_joined"), `"topic"`, `"participant":{"user_name":"ann"},"topic"`, 1)
	bob := strings.Replace(ann, "ann", "bob", 1)
	first, second := s.send(t, ann), s.send(t, bob)
	require.False(t, s.answers.all[0].Collided)
	require.True(t, s.answers.last().Collided)
	require.False(t, second.Duplicate)
	require.NotEqual(t, first.EventID, second.EventID)
	for _, id := range []string{first.EventID, second.EventID} {
		require.NoError(t, s.result(t, id))
	}
	require.ElementsMatch(t, []string{ann, bob}, []string{<-bodies, <-bodies})

	// The sender of a repeat may write the same JSON in another way.
	again := s.send(t, strings.ReplaceAll(bob, `,"topic"`, `, "topic"`))
	require.True(t, again.Duplicate)
	require.Equal(t, second.EventID, again.EventID)
}
