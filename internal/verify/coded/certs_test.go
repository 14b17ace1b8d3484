package coded_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/grapnel/grapnel/internal/verify"
	"github.com/grapnel/grapnel/internal/verify/coded"
)

// TestCertificateFetch judges a message by what the certificate's server answers.
func TestCertificateFetch(t *testing.T) {
	s := newSigner(t, "sns.amazonaws.com", time.Hour)
	bucket, old := newSigner(t, "evil.s3.amazonaws.com", time.Hour), newSigner(t, "sns.amazonaws.com", -time.Minute)
	status := func(code int) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(code) }
	}
	for _, test := range []struct {
		name   string
		signer signer
		answer http.HandlerFunc
		want   verify.Reason
	}{
		{"the certificate", s, serve(s.pem), ""},
		{"another certificate", s, serve(newSigner(t, "sns.amazonaws.com", time.Hour).pem), verify.SignatureMismatch},
		{"a certificate of another name", bucket, serve(bucket.pem), verify.UnknownKey},
		{"a certificate whose time is over", old, serve(old.pem), verify.Expired},
		{"a redirect", s, func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "https://sns.us-west-2.amazonaws.com/other.pem", http.StatusFound)
		}, verify.UnknownKey},
		{"a giant", s, serve(bytes.Repeat([]byte("x"), coded.MaxRemoteBytes+1)), verify.UnknownKey},
		{"the certificate at the end of a giant", s, serve(append(bytes.Repeat([]byte("\n"), coded.MaxRemoteBytes), s.pem...)), verify.UnknownKey},
		{"nine certificates", s, serve(bytes.Repeat(s.pem, 9)), verify.UnknownKey},
		{"no PEM", s, serve([]byte("<html>")), verify.UnknownKey},
		{"a key block", s, serve([]byte("-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n")), verify.UnknownKey},
		{"not found", s, status(http.StatusNotFound), verify.UnknownKey},
		{"trouble at the server", s, status(http.StatusServiceUnavailable), verify.Unavailable},
		{"too many requests", s, status(http.StatusTooManyRequests), verify.Unavailable},
	} {
		t.Run(test.name, func(t *testing.T) {
			aws := newRemote(t, test.answer)
			body := test.signer.sign(t, snsFields("Notification"))
			requireReason(t, test.want, newSNS(t, snsTopic).Verify(codedRequest("", body), nil, aws.options()))
			require.Equal(t, int64(1), aws.hits.Load())
			require.Equal(t, "sns.us-west-2.amazonaws.com/SimpleNotificationService-1.pem", <-aws.paths)
		})
	}
}

// TestCertificateOfOneURLIsFetchedOnce holds for many requests at once and after.
func TestCertificateOfOneURLIsFetchedOnce(t *testing.T) {
	s := newSigner(t, "sns.amazonaws.com", time.Hour)
	aws, checker := newRemote(t, serve(s.pem)), newSNS(t, "")
	options, body := aws.options(), s.sign(t, snsFields("Notification"))
	var group sync.WaitGroup
	failures := make(chan error, 20)
	for range 20 {
		group.Go(func() { failures <- checker.Verify(codedRequest("", body), nil, options) })
	}
	group.Wait()
	for range 20 {
		require.NoError(t, <-failures)
	}
	require.Equal(t, int64(1), aws.hits.Load())
}

// TestCertificateIsReadAgain when its day is over, and used while that fails, until it ends.
func TestCertificateIsReadAgain(t *testing.T) {
	s, now, up := newSigner(t, "sns.amazonaws.com", 48*time.Hour), codedNow, true
	checker := newSNS(t, "")
	fetches := 0
	options := verify.Options{Fetch: func(context.Context, string) ([]byte, error) {
		if fetches++; !up {
			return nil, errors.New("no route")
		}
		return s.pem, nil
	}}
	body := s.sign(t, snsFields("Notification"))
	judge := func() error {
		options.Now = now
		return checker.Verify(codedRequest("", body), nil, options)
	}
	require.NoError(t, judge())
	now = now.Add(23 * time.Hour)
	require.NoError(t, judge())
	require.Equal(t, 1, fetches)
	now, up = now.Add(2*time.Hour), false
	require.NoError(t, judge())
	require.Equal(t, 2, fetches)
	now = now.Add(24 * time.Hour)
	requireReason(t, verify.Unavailable, judge())
}

// TestFetchesAreBounded against a stranger who names ever new addresses on a trusted host.
func TestFetchesAreBounded(t *testing.T) {
	s, now, fetches := signer{key: newRSA(t, 1024)}, codedNow, 0
	checker := newSNS(t, "")
	options := verify.Options{Fetch: func(context.Context, string) ([]byte, error) {
		fetches++
		return nil, &coded.FetchError{Status: http.StatusNotFound}
	}}
	ask := func(n int) error {
		url := fmt.Sprintf("https://sns.us-west-2.amazonaws.com/%d.pem", n)
		options.Now = now
		return checker.Verify(codedRequest("", s.sign(t, snsFields("Notification", "SigningCertURL", url))), nil, options)
	}
	for n := range coded.FetchBurst + 30 {
		want := verify.UnknownKey
		if n >= coded.FetchBurst {
			want = verify.Unavailable
		}
		requireReason(t, want, ask(n))
	}
	require.Equal(t, coded.FetchBurst, fetches)
	requireReason(t, verify.UnknownKey, ask(0)) // Remembered, not asked again.
	require.Equal(t, coded.FetchBurst, fetches)
	for n := range coded.MaxFailures + 50 {
		now = now.Add(10 * time.Second)
		requireReason(t, verify.UnknownKey, ask(1000+n))
	}
	docs, failures := coded.CacheSizes(checker)
	require.Zero(t, docs)
	require.Equal(t, coded.MaxFailures, failures)
}

// TestAStrangerKeepsNoSenderFromItsCertificate, neither one who asks for the first time nor one
// whose certificate is to be read again.
func TestAStrangerKeepsNoSenderFromItsCertificate(t *testing.T) {
	p := newSigner(t, "sns.amazonaws.com", 72*time.Hour)
	const good = "https://sns.us-west-2.amazonaws.com/good.pem"
	checker, now, fetches := newSNS(t, ""), codedNow, 0
	judge := func(client, url string) error {
		return checker.Verify(codedRequest("", p.sign(t, snsFields("Notification", "SigningCertURL", url))), nil, verify.Options{
			Now: now, Client: client, Fetch: func(_ context.Context, asked string) ([]byte, error) {
				fetches++
				if asked != good {
					return nil, &coded.FetchError{Status: http.StatusNotFound}
				}
				return p.pem, nil
			},
		})
	}
	made := 0
	flood := func() {
		for range 50 {
			made++
			_ = judge("198.51.100.1", fmt.Sprintf("https://sns.us-west-2.amazonaws.com/%d.pem", made))
		}
		requireReason(t, verify.Unavailable, judge("198.51.100.1", "https://sns.us-west-2.amazonaws.com/again.pem"))
	}
	flood()
	require.NoError(t, judge("203.0.113.1", good))
	before := fetches
	now = now.Add(25 * time.Hour)
	flood()
	for range 100 {
		require.NoError(t, judge("198.51.100.1", good), "what is known is known to all")
	}
	require.Equal(t, 1+coded.FetchBurst, fetches-before, "the known one is read again, once")
}

// TestFetchEndsWithTheRequest when the server does not answer.
func TestFetchEndsWithTheRequest(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	started, release := make(chan struct{}), make(chan struct{})
	defer close(release)
	options := verify.Options{Context: ctx, Now: codedNow, Fetch: func(context.Context, string) ([]byte, error) {
		close(started)
		<-release
		return nil, errors.New("late")
	}}
	result := make(chan error, 1)
	body := signer{key: newRSA(t, 1024)}.sign(t, snsFields("Notification"))
	go func() { result <- newSNS(t, "").Verify(codedRequest("", body), nil, options) }()
	<-started
	cancel()
	requireReason(t, verify.Unavailable, <-result)
}

// TestNoFetchIsAllowed refuses what needs a certificate.
func TestNoFetchIsAllowed(t *testing.T) {
	body := signer{key: newRSA(t, 1024)}.sign(t, snsFields("Notification"))
	requireReason(t, verify.Unavailable, newSNS(t, "").Verify(codedRequest("", body), nil, verify.Options{Now: codedNow}))
}

// TestFetchedCertificateIsJudgedAtTheTimeOfTheRequest and at no other clock's.
func TestFetchedCertificateIsJudgedAtTheTimeOfTheRequest(t *testing.T) {
	s := newSigner(t, "sns.amazonaws.com", time.Hour)
	body := s.sign(t, snsFields("Notification"))
	for _, test := range []struct {
		name string
		now  time.Time
		want verify.Reason
	}{
		{"within its life, however long ago that was", codedNow, ""},
		{"before its life", codedNow.Add(-2 * time.Hour), verify.Expired},
		{"after its life", codedNow.Add(2 * time.Hour), verify.Expired},
		{"without a time, at the present", time.Time{}, verify.Expired},
	} {
		t.Run(test.name, func(t *testing.T) {
			options := verify.Options{Now: test.now, Fetch: func(context.Context, string) ([]byte, error) { return s.pem, nil }}
			requireReason(t, test.want, newSNS(t, snsTopic).Verify(codedRequest("", body), nil, options))
		})
	}
}
