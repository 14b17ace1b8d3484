package bench_test

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.temporal.io/api/workflowservice/v1"

	"github.com/grapnel/grapnel/internal/bench"
)

func TestSeriesGivesTheMedian(t *testing.T) {
	var s bench.Series
	for _, v := range []float64{9, 1, 5} {
		s.Add(v)
	}
	require.InDelta(t, 5, s.Median, 0)
	s.Add(7)
	require.InDelta(t, 6, s.Median, 0)
}

func TestTimesGiveTheSpread(t *testing.T) {
	var all []time.Duration
	for i := range 200 {
		all = append(all, time.Duration(200-i))
	}
	require.Equal(t, bench.Times{Count: 200, P50: 101, P99: 199, Max: 200}, bench.NewTimes(all))
	require.Zero(t, bench.NewTimes(nil))
}

func TestABatchKnowsItsEvents(t *testing.T) {
	b := bench.NewBatch(2, "secret")
	for i := range 2 {
		require.True(t, json.Valid(b.Body(i)))
		require.Len(t, b.Body(i), bench.BodyBytes)
	}
	require.NoError(t, b.Handle(b.Body(1)))
	require.NoError(t, b.Handle(b.Body(1)))
	left, again := b.Counts()
	require.EqualValues(t, 1, left)
	require.EqualValues(t, 1, again)
	require.NoError(t, b.Handle(b.Body(0)))
	require.NoError(t, b.Await(t.Context()))
	require.Len(t, b.Latencies(), 2)
	require.Error(t, b.Handle([]byte(`{}`)))
	require.Error(t, b.Handle([]byte(`{"number":"000000009"}`)))
}

func TestOnlyCallsThatCarryAnEventCount(t *testing.T) {
	require.True(t, bench.CarriesEvent(&workflowservice.StartWorkflowExecutionRequest{}, nil))
	require.True(t, bench.CarriesEvent(nil, &workflowservice.PollWorkflowTaskQueueResponse{TaskToken: []byte("t")}))
	require.False(t, bench.CarriesEvent(nil, &workflowservice.PollWorkflowTaskQueueResponse{}))
	require.False(t, bench.CarriesEvent(&workflowservice.DescribeWorkflowExecutionRequest{}, nil))
}

func TestAnAnswerNamesItsEvent(t *testing.T) {
	require.Equal(t, "abc", bench.EventID([]byte(`{"success":true,"eventId":"abc","queued":true}`)))
	require.Empty(t, bench.EventID([]byte(`{}`)))
}
