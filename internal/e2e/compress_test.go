package e2e_test

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	commonpb "go.temporal.io/api/common/v1"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/converter"

	"github.com/grapnel/grapnel/activities/handler"
	"github.com/grapnel/grapnel/internal/engine"
	"github.com/grapnel/grapnel/internal/engine/enginetest"
)

// compressFrom is the setting of the tests, in bytes.
const compressFrom = 4 << 10

// dialled is a client of the test's server with a setting of its own.
func dialled(t *testing.T, server *enginetest.Server, from int) client.Client {
	t.Helper()
	c, err := engine.Dial(server.Engine.Settings(), engine.DialOptions{CompressFrom: from})
	require.NoError(t, err)
	t.Cleanup(c.Close)
	return c
}

// prose is a Zoom event of 100 KB whose text is varied and whose bytes are not
// those that any encoder of JSON would write.
func prose(t *testing.T, typ string) string {
	t.Helper()
	r := rand.New(rand.NewPCG(1, 2))
	var b strings.Builder
	for b.Len() < 100_000 {
		fmt.Fprintf(&b, `{ "id" : 1234567890123456789.%d, "text":"<b>line %x</b> é" },`, r.Uint32(), r.Uint64())
	}
	return strings.TrimSuffix(zoom(t, typ), "}") + `,"lines":[` + strings.TrimSuffix(b.String(), ",") + "]}"
}

// stored is the body in the first event of a run, as Temporal keeps it.
func (s *system) stored(t *testing.T, id, run string) *commonpb.Payload {
	t.Helper()
	return s.history(t, id, run)[0].GetWorkflowExecutionStartedEventAttributes().GetInput().GetPayloads()[1]
}

func requireCompressed(t *testing.T, p *commonpb.Payload, body string) {
	t.Helper()
	require.Equal(t, "binary/zlib", string(p.GetMetadata()[converter.MetadataEncoding]))
	require.Less(t, len(p.GetData()), len(body)/2)
}

func TestALargeBodyIsStoredCompressedAndHandledAsItWasSent(t *testing.T) {
	t.Parallel()
	server := enginetest.Shared(t)
	for name, from := range map[string]int{
		"by a worker with the same setting": compressFrom,
		"by a worker whose setting is off":  0,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			body, bodies := prose(t, "meeting.started"), make(chan string, 2)
			s := &system{Server: server, client: dialled(t, server, from), queue: t.Name(), secret: secret, answers: &answers{}}
			cfg := mustParse(t, yaml())
			s.worker(t, cfg, tableOf(func(table *handler.Table) {
				handler.On(table, "zoom", "*", func(_ context.Context, e handler.Event[[]byte]) error {
					bodies <- string(e.Payload)
					return nil
				})
			}))
			s.client = dialled(t, server, compressFrom)
			s.url = s.receiver(t, cfg)
			id := s.send(t, body).EventID
			require.NoError(t, s.result(t, id))
			require.Equal(t, body, <-bodies)
			requireCompressed(t, s.stored(t, id, ""), body)

			small := zoom(t, "meeting.ended")
			id = s.send(t, small).EventID
			require.NoError(t, s.result(t, id))
			require.Equal(t, small, <-bodies)
			require.Equal(t, small, string(s.stored(t, id, "").GetData()), "it stays as it was sent")
		})
	}
}

func TestADeadLetterKeepsACompressedBody(t *testing.T) {
	t.Parallel()
	server := ownServer(t)
	body, bodies, mended := prose(t, "meeting.started"), make(chan string, 4), make(chan struct{})
	s := &system{Server: server, client: dialled(t, server, compressFrom), queue: t.Name(), secret: secret, answers: &answers{}}
	cfg := mustParse(t, yaml())
	s.worker(t, cfg, tableOf(func(table *handler.Table) {
		handler.On(table, "zoom", "*", func(_ context.Context, e handler.Event[[]byte]) error {
			bodies <- string(e.Payload)
			select {
			case <-mended:
				return nil
			default:
				return handler.Permanent(errors.New("the other side is down"))
			}
		})
	}))
	s.url = s.receiver(t, cfg)
	id := s.send(t, body).EventID
	require.Contains(t, s.dead(t, id), "the other side is down")
	require.Equal(t, body, <-bodies)
	requireCompressed(t, s.stored(t, id, ""), body)

	t.Run("a replay hands over the same bytes", func(t *testing.T) {
		close(mended)
		s.temporal(t, "workflow", "reset", "--workflow-id", id, "--type", "FirstWorkflowTask", "--reason", "mended")
		s.handled(t, id)
		require.Equal(t, body, <-bodies)
		requireCompressed(t, s.stored(t, id, ""), body)
	})
}

func TestTheTemporalCommandReadsACompressedBody(t *testing.T) {
	t.Parallel()
	h := newHome(t, example(t)+"\ncompress_from: 4KiB\n", "GRAPNEL_ADMIN_TOKEN=a-token-of-the-tests-alone")
	p := h.start(t, "up")
	s := p.system(t)
	body := prose(t, "meeting.nobody")
	id := s.send(t, body).EventID
	s.dead(t, id)
	requireCompressed(t, s.stored(t, id, ""), body)
	show := []string{"workflow", "show", "--workflow-id", id, "--output", "json"}
	codec := append(slices.Clone(show), "--codec-endpoint", p.admin+"/codec", "--codec-auth", "Bearer a-token-of-the-tests-alone")
	shown := base64.StdEncoding.EncodeToString([]byte(body))
	require.False(t, strings.Contains(s.temporal(t, show...), shown)) //nolint:testifylint // Neither text is to be printed.
	require.True(t, strings.Contains(s.temporal(t, codec...), shown)) //nolint:testifylint // Neither text is to be printed.
}
