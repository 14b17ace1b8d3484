package handlertest_test

import (
	"context"
	"errors"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/client"

	"github.com/grapnel/grapnel/activities/handler"
	"github.com/grapnel/grapnel/activities/handler/handlertest"
	"github.com/grapnel/grapnel/internal/provider"
)

// invoicePaid is the body of Stripe's invoice.paid, as far as the tests read it.
type invoicePaid struct {
	Data struct {
		Object struct {
			ID         string `json:"id"`
			AmountPaid int    `json:"amount_paid"`
		} `json:"object"`
	} `json:"data"`
}

// till is a handler that answers as it is told, and remembers what it was handed.
type till struct {
	answers []error
	got     []handler.Event[invoicePaid]
}

func (f *till) bind(t *handler.Table, _ handler.Deps) {
	handler.On(t, "stripe", "invoice.paid", f.handle)
}

func (f *till) handle(_ context.Context, e handler.Event[invoicePaid]) error {
	f.got = append(f.got, e)
	if n := len(f.got); n <= len(f.answers) {
		return f.answers[n-1]
	}
	return nil
}

var errDown = errors.New("the till is down")

func TestASampleGoesTheWholeWay(t *testing.T) {
	f := &till{}
	kit := handlertest.New(t, f.bind)
	result := kit.Send("stripe", "invoice.paid", handlertest.Set("data.object.amount_paid", 700))
	result.RequireHandled()
	result.RequireAttempts(1)
	require.Equal(t, http.StatusOK, result.Status)
	require.Len(t, f.got, 1)
	require.Equal(t, 700, f.got[0].Payload.Data.Object.AmountPaid)
	require.Equal(t, result.ID, f.got[0].ID)
	require.Equal(t, "stripe", f.got[0].Source)
	require.Equal(t, "invoice.paid", f.got[0].Type)
	require.Equal(t, kit.Now(), f.got[0].Received)
}

func TestRetriesAreMadeByTheKitsClock(t *testing.T) {
	f := &till{answers: []error{errDown, handler.RetryAfter(time.Minute, errDown)}}
	kit := handlertest.New(t, f.bind, handlertest.At(time.Date(2030, 1, 2, 3, 4, 5, 0, time.UTC)))
	result := kit.Send("stripe", "invoice.paid")
	result.RequireHandled()
	require.Equal(t, []time.Duration{time.Second, time.Minute}, result.Delays())
	require.Equal(t, []string{"the till is down", "the till is down", ""},
		[]string{result.Attempts[0].Error, result.Attempts[1].Error, result.Attempts[2].Error})
	require.Equal(t, 3, result.Attempts[2].Number)
	require.Equal(t, 2, f.got[1].Attempt)
	require.Equal(t, time.Date(2030, 1, 2, 3, 5, 6, 0, time.UTC), result.Settled)
	require.Equal(t, result.Settled, kit.Now())
}

func TestADeadLetterTellsWhyAndIsReplayed(t *testing.T) {
	f := &till{answers: []error{errDown, errDown, errDown, errDown}}
	result := handlertest.New(t, f.bind).Send("stripe", "invoice.paid")
	result.RequireDead("stripe/invoice/paid: the till is down")
	result.RequireAttempts(3)
	require.Equal(t, []handlertest.Failure{{
		Handler: "stripe/invoice/paid", Type: "Error", Message: "the till is down", Attempts: 3,
	}}, result.Failures)

	again := result.Replay()
	again.RequireHandled()
	again.RequireAttempts(2)
	require.Equal(t, result.ID, again.ID)
}

func TestWhatSucceededIsNotReplayed(t *testing.T) {
	good, bad := &till{}, &till{answers: []error{handler.Permanent(errDown)}}
	result := handlertest.New(t, func(t *handler.Table, d handler.Deps) {
		good.bind(t, d)
		handler.On(t, "stripe", "invoice.*", bad.handle)
	}).Send("stripe", "invoice.paid")
	result.RequireDead("the till is down")
	result.RequireAttempts(2)
	again := result.Replay()
	again.RequireHandled()
	again.RequireAttempts(1)
	require.Len(t, good.got, 1)
}

func TestPermanentFailuresAreNotTriedAgain(t *testing.T) {
	for name, c := range map[string]struct {
		option handlertest.SendOption
		answer error
		text   string
	}{
		"of the handler": {handlertest.Skew(0), handler.Permanent(errDown), "the till is down"},
		"of a body that does not fit": {
			handlertest.Set("data.object.amount_paid", "seven"), nil, "does not fit handlertest_test.invoicePaid",
		},
	} {
		t.Run(name, func(t *testing.T) {
			result := handlertest.New(t, (&till{answers: []error{c.answer}}).bind).Send("stripe", "invoice.paid", c.option)
			result.RequireDead(c.text)
			result.RequireAttempts(1)
			require.True(t, result.Attempts[0].Permanent)
		})
	}
}

func TestAPanicIsAFailureWithItsStack(t *testing.T) {
	result := handlertest.New(t, func(t *handler.Table, _ handler.Deps) {
		handler.On(t, "stripe", "*", func(context.Context, handler.Event[[]byte]) error { panic("no coins") }, handler.Attempts(1))
	}).Send("stripe", "invoice.paid")
	result.RequireDead("panic: no coins")
	require.Equal(t, "Panic", result.Failures[0].Type)
	require.Contains(t, result.Failures[0].Stack, "kit_test.go")
}

func TestAnEventThatNoHandlerTakesIsADeadLetter(t *testing.T) {
	result := handlertest.New(t, (&till{}).bind).Send("stripe", "customer.created")
	result.RequireDead("no handler for stripe/customer.created")
	result.RequireAttempts(0)
}

func TestTheReceiverRefusesWhatIsNotGenuine(t *testing.T) {
	f := &till{}
	kit := handlertest.New(t, f.bind)
	kit.Send("stripe", "invoice.paid", handlertest.Forged()).RequireRefused(http.StatusUnauthorized)
	kit.Send("stripe", "invoice.paid", handlertest.Skew(-time.Hour)).RequireRefused(http.StatusBadRequest)
	require.Empty(t, f.got)
}

func TestARepeatIsHandledOnce(t *testing.T) {
	f := &till{}
	result := handlertest.New(t, f.bind).Send("stripe", "invoice.paid")
	again := result.Repeat()
	require.True(t, again.Duplicate)
	require.Equal(t, result.ID, again.ID)
	again.RequireHandled()
	again.RequireAttempts(0)
	require.Len(t, f.got, 1)
}

func TestARepeatRevivesADeadLetterOnceInFiveMinutes(t *testing.T) {
	f := &till{answers: []error{handler.Permanent(errDown), handler.Permanent(errDown)}}
	kit := handlertest.New(t, f.bind)
	dead := kit.Send("stripe", "invoice.paid")
	dead.RequireDead("the till is down")
	first := dead.Repeat()
	require.True(t, first.Replayed)
	first.RequireDead("replayed")
	require.True(t, dead.Repeat().Duplicate)
	kit.Advance(5 * time.Minute)
	last := dead.Repeat()
	require.True(t, last.Replayed)
	last.RequireHandled()
}

func TestHandlersTalkToAFakeTemporal(t *testing.T) {
	kit := handlertest.New(t, func(t *handler.Table, d handler.Deps) {
		handler.On(t, "stripe", "invoice.paid", func(ctx context.Context, e handler.Event[invoicePaid]) error {
			_, err := d.Temporal.SignalWithStartWorkflow(ctx, "order-1", "paid", e.Payload.Data.Object.AmountPaid,
				client.StartWorkflowOptions{TaskQueue: "orders"}, "Order", e.ID)
			return err
		})
	})
	kit.Temporal.Fail(errDown)
	dead := kit.Send("stripe", "invoice.paid", handlertest.Set("data.object.amount_paid", 7))
	dead.RequireDead("the till is down")
	kit.Temporal.Fail(nil)
	dead.Replay().RequireHandled()
	calls := kit.Temporal.Calls()
	require.Len(t, calls, 4)
	require.Equal(t, handlertest.Call{
		Method: "SignalWithStartWorkflow", WorkflowID: "order-1", Workflow: "Order", TaskQueue: "orders",
		Name: "paid", Signal: 7, Args: []any{dead.ID},
	}, calls[3])
}

func TestASourceIsDescribedAsInTheConfiguration(t *testing.T) {
	var got []byte
	kit := handlertest.New(t, func(t *handler.Table, _ handler.Deps) {
		handler.On(t, "shop", "order.*", func(_ context.Context, e handler.Event[[]byte]) error {
			got = e.Payload
			return nil
		})
	}, handlertest.Source("shop", `verify:
  algorithm: hmac-sha256
  content: "{timestamp}.{body}"
  signature: {headers: [X-Shop-Signature], prefix: "sha256=", encoding: hex}
  timestamp: {from: "header:X-Shop-Timestamp", format: s}
  identity: {type: "body:event", id: "body:id"}
dedupe: id`))
	kit.Send("shop", "order.paid", handlertest.Body([]byte(`{"event":"order.paid","id":"7"}`))).RequireHandled()
	require.JSONEq(t, `{"event":"order.paid","id":"7"}`, string(got))
}

func TestHandlePassesTheReceiver(t *testing.T) {
	var got handler.Event[[]byte]
	kit := handlertest.New(t, func(t *handler.Table, _ handler.Deps) {
		handler.On(t, "paypal", "*", func(_ context.Context, e handler.Event[[]byte]) error {
			got = e
			return nil
		})
	})
	kit.Handle("paypal", "PAYMENT.SALE.COMPLETED", []byte("any\x00bytes")).RequireHandled()
	require.Equal(t, "PAYMENT.SALE.COMPLETED", got.Type)
	require.Equal(t, []byte("any\x00bytes"), got.Body)
}

func TestEveryProviderThatOthersCanSignForHasASample(t *testing.T) {
	count := 0
	kit := handlertest.New(t, func(t *handler.Table, _ handler.Deps) {
		handler.On(t, "*", "*", func(context.Context, handler.Event[[]byte]) error {
			count++
			return nil
		})
	})
	want := 0
	for _, name := range provider.Names() {
		switch name {
		case "aws-sns", "fusionauth-jwt-public", "google-pubsub", "microsoft-graph-rich", "paypal":
			continue // Only the sender can sign.
		}
		r := kit.Send(name, "")
		require.Equal(t, http.StatusOK/100, r.Status/100, "%s: %s", name, r)
		if r.ID != "" {
			want++
			r.RequireHandled()
		}
	}
	require.Equal(t, want, count)
	require.Greater(t, want, 50)
}

func TestEventIsForTestsThatCallTheHandler(t *testing.T) {
	e := handlertest.Event(invoicePaid{})
	require.Equal(t, 1, e.Attempt)
	require.Len(t, e.ID, 64)
	require.JSONEq(t, `{"data":{"object":{"id":"","amount_paid":0}}}`, string(e.Body))
	require.Equal(t, []byte("raw"), handlertest.Event([]byte("raw")).Body)

	s := handlertest.Sample[invoicePaid](t, "stripe", "invoice.paid")
	require.Equal(t, "invoice.paid", s.Type)
	require.NotZero(t, s.Payload.Data.Object.AmountPaid)
	require.NotEmpty(t, s.SenderID)
}
