package starter_test

import (
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestEverySchemeJudgesARequestAlike(t *testing.T) {
	w, engine := openFake(t, yaml("", doorSources...))
	body := `{"event":"order.paid","type":"invoice.paid","id":"evt_1","at":"2026-01-02T03:04:05Z"}`
	for _, s := range schemes {
		post := func(t *testing.T, body string, headers []string) reply {
			t.Helper()
			return w.post(t, s.name, body, headers...)
		}
		t.Run("a genuine request of "+s.name+" is started", func(t *testing.T) {
			a := post(t, body, s.sign(body, w.now.time(), goodSecret)).taken(t)
			require.False(t, a.Duplicate)
			require.Equal(t, a.EventID, engine.last(t).options.ID)
			require.Equal(t, body, string(engine.last(t).body.GetData()))
			require.Equal(t, s.name, engine.last(t).event.Source)
		})
		t.Run("the same request of "+s.name+" again is a duplicate", func(t *testing.T) {
			require.True(t, post(t, body, s.sign(body, w.now.time(), goodSecret)).taken(t).Duplicate)
		})
		before, _, _ := engine.calls()
		t.Run("a request of "+s.name+" by another secret is refused", func(t *testing.T) {
			post(t, body, s.sign(body, w.now.time(), otherSecret)).refused(t, http.StatusUnauthorized, "Invalid signature")
		})
		t.Run("a request of "+s.name+" with another body is refused", func(t *testing.T) {
			post(t, body+" ", s.sign(body, w.now.time(), goodSecret)).refused(t, http.StatusUnauthorized, "Invalid signature")
			post(t, body[1:], s.sign(body, w.now.time(), goodSecret)).refused(t, http.StatusUnauthorized, "Invalid signature")
			post(t, "", s.sign(body, w.now.time(), goodSecret)).refused(t, http.StatusUnauthorized, "Invalid signature")
		})
		t.Run("a request of "+s.name+" without signature is refused", func(t *testing.T) {
			post(t, body, without(s.sign(body, w.now.time(), goodSecret), s.signature)).refused(t, http.StatusUnauthorized, "Invalid signature")
			if s.name == "zoom-legacy" { // It looks at the time first.
				post(t, body, nil).refused(t, http.StatusBadRequest, "Invalid request timestamp")
				return
			}
			post(t, body, nil).refused(t, http.StatusUnauthorized, "Invalid signature")
		})
		t.Run("a request of "+s.name+" with an empty signature is refused", func(t *testing.T) {
			headers := append(without(s.sign(body, w.now.time(), goodSecret), s.signature), s.signature, "")
			post(t, body, headers).refused(t, http.StatusUnauthorized, "Invalid signature")
		})
		t.Run("a request of "+s.name+" with two signature headers is refused", func(t *testing.T) {
			headers := s.sign(body, w.now.time(), goodSecret)
			for i := 0; i < len(headers); i += 2 {
				if headers[i] == s.signature {
					headers = append(headers, s.signature, headers[i+1])
					break
				}
			}
			post(t, body, headers).refused(t, http.StatusUnauthorized, "Invalid signature")
		})
		after, _, _ := engine.calls()
		require.Equal(t, before, after, "nothing of that is started")
	}
}

func TestWindowOfEveryScheme(t *testing.T) {
	w, _ := openFake(t, yaml("", doorSources...))
	const body = `{"event":"order.paid","type":"invoice.paid","id":"evt_1"}`
	now := w.now.time().Truncate(time.Second)
	w.now.nanos.Store(now.UnixNano())
	for _, s := range schemes {
		if s.name == "github" {
			continue // It signs no time.
		}
		for _, test := range []struct {
			name   string
			age    time.Duration
			status int
			text   string
		}{
			{"at the old edge is taken", 5 * time.Minute, http.StatusOK, ""},
			{"past the old edge is refused", 5*time.Minute + time.Second, http.StatusBadRequest, "Request timestamp too old"},
			{"at the far edge is taken", -5 * time.Minute, http.StatusOK, ""},
			{"past the far edge is refused", -5*time.Minute - time.Second, http.StatusBadRequest, "Request timestamp in the future"},
			{"of the year 1970 is refused", now.Sub(time.Unix(0, 0)), http.StatusBadRequest, "Request timestamp too old"},
		} {
			t.Run("a request of "+s.name+" "+test.name, func(t *testing.T) {
				r := w.post(t, s.name, body, s.sign(body, now.Add(-test.age), goodSecret)...)
				if test.status == http.StatusOK {
					r.taken(t)
					return
				}
				r.refused(t, test.status, test.text)
			})
		}
		t.Run("a stale and forged request of "+s.name, func(t *testing.T) {
			r := w.post(t, s.name, body, s.sign(body, now.Add(-time.Hour), otherSecret)...)
			if s.name == "zoom-legacy" {
				r.refused(t, http.StatusBadRequest, "Request timestamp too old")
				return
			}
			r.refused(t, http.StatusUnauthorized, "Invalid signature")
		})
	}
}

func TestTimestampsThatCannotBeRead(t *testing.T) {
	w, engine := openFake(t, yaml("", doorSources...))
	const body = `{"event":"order.paid","id":"evt_1"}`
	for _, s := range schemes {
		if s.stamp == "" {
			continue
		}
		for name, value := range map[string]string{
			"no timestamp": "", "a word": "now", "a sign": "+" + unix(w.now.time()), "a fraction": unix(w.now.time()) + ".5",
			"hexadecimal": "0x6", "a number past all clocks": "99999999999999999999", "a minus": "-1", "a space": "1 2",
		} {
			t.Run(s.name+" with "+name+" is refused", func(t *testing.T) {
				headers := without(s.sign(body, w.now.time(), goodSecret), s.stamp)
				if value != "" {
					headers = append(headers, s.stamp, value)
				}
				w.post(t, s.name, body, headers...).refused(t, http.StatusBadRequest, "Invalid request timestamp")
			})
		}
		t.Run(s.name+" with two timestamps is refused", func(t *testing.T) {
			headers := append(s.sign(body, w.now.time(), goodSecret), s.stamp, unix(w.now.time()))
			w.post(t, s.name, body, headers...).refused(t, http.StatusBadRequest, "Invalid request timestamp")
		})
	}
	for name, value := range map[string]string{"no t": "v1=00", "a word for t": "t=now,v1=00", "two t": "t=1,t=2,v1=00"} {
		t.Run("stripe with "+name+" is refused", func(t *testing.T) {
			w.post(t, "stripe", body, "Stripe-Signature", value).refused(t, http.StatusBadRequest, "Invalid request timestamp")
		})
	}
	starts, _, _ := engine.calls()
	require.Zero(t, starts)
}

func TestToleranceOfASource(t *testing.T) {
	w, _ := openFake(t, yaml("", doorSource("zoom", "zoom", goodSecret, "tolerance: 10s")))
	body := meeting("1")
	r := w.post(t, "zoom", body, signZoom(body, w.now.time().Add(-12*time.Second), goodSecret)...)
	r.refused(t, http.StatusBadRequest, "Request timestamp too old")
	w.post(t, "zoom", body, signZoom(body, w.now.time().Add(-8*time.Second), goodSecret)...).taken(t)
}

func TestEverySecretIsTried(t *testing.T) {
	w, _ := openFake(t, yaml("", doorSource("zoom", "zoom", "a-newer-secret-for-the-tests, "+goodSecret)))
	w.zoom(t, meeting("1")).taken(t)
}

func TestASecretCountsInItsTimeOnly(t *testing.T) {
	w, _ := openFake(t, yaml("", doorSource("zoom", "zoom", "{value: "+goodSecret+", valid_until: 2020-01-01T00:00:00Z}, "+otherSecret)))
	w.zoom(t, meeting("1")).refused(t, http.StatusUnauthorized, "Invalid signature")
}

func TestASenderByBasicIsChallenged(t *testing.T) {
	w, _ := openFake(t, yaml("", doorSource("plain", "generic-basic", "user:password-of-the-tests"), doorSource("zoom", "zoom", goodSecret)))
	for name, headers := range map[string][]string{
		"nothing": nil, "wrong": {"Authorization", "Basic dXNlcjp3cm9uZw=="}, "another scheme": {"Authorization", "Bearer x"},
	} {
		t.Run(name, func(t *testing.T) {
			r := w.post(t, "plain", "{}", headers...)
			require.Equal(t, 401, r.status)
			require.Equal(t, `Basic realm="webhooks", charset="UTF-8"`, r.header.Get("WWW-Authenticate"))
		})
	}
	require.Empty(t, w.post(t, "zoom", "{}").header.Get("WWW-Authenticate"), "a signature is nothing to be challenged for")
}
