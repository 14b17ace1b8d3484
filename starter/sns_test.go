package starter_test

import (
	"context"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/grapnel/grapnel/starter"
)

const (
	amazonHost = "https://sns.eu-central-1.amazonaws.com"
	amazonCert = "/SimpleNotificationService-1.pem"
	ourTopic   = "arn:aws:sns:eu-central-1:123456789012:orders"
	theirTopic = "arn:aws:sns:eu-central-1:210987654321:orders"
)

// amazonDay is the only day on which the certificate of these tests is valid, and
// the time of the door: no other clock may judge it.
var amazonDay = time.Date(2031, 5, 17, 0, 0, 0, 0, time.UTC)

// amazon is SNS: a key, and the server of its certificate that confirms
// subscriptions too.
type amazon struct {
	key    *rsa.PrivateKey
	server *httptest.Server

	mu sync.Mutex
	// asked is what was fetched, without the host; confirming is the status of an
	// answer to a confirmation.
	asked      []string
	confirming int
}

func newAmazon(t *testing.T) *amazon {
	t.Helper()
	a := &amazon{confirming: http.StatusOK}
	var err error
	a.key, err = rsa.GenerateKey(rand.Reader, 2048)
	require.NoError(t, err)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "sns.amazonaws.com"},
		NotBefore: amazonDay, NotAfter: amazonDay.Add(24 * time.Hour),
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &a.key.PublicKey, a.key)
	require.NoError(t, err)
	document := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	a.server = httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		a.mu.Lock()
		defer a.mu.Unlock()
		a.asked = append(a.asked, "https://"+r.Host+r.URL.RequestURI())
		if r.URL.Path == amazonCert {
			_, _ = w.Write(document)
			return
		}
		w.WriteHeader(a.confirming)
	}))
	t.Cleanup(a.server.Close)
	return a
}

// network leads every host to the server.
func (a *amazon) network(o *starter.Options) {
	to := a.server.Client().Transport.(*http.Transport).Clone()
	to.TLSClientConfig.ServerName = "example.com" // Its certificate's.
	to.DialContext = func(ctx context.Context, network, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, network, a.server.Listener.Addr().String())
	}
	o.Transport = to
}

// fetched is what was fetched since it was last asked.
func (a *amazon) fetched() []string {
	a.mu.Lock()
	defer a.mu.Unlock()
	all := a.asked
	a.asked = nil
	return all
}

func (a *amazon) confirms(status int) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.confirming = status
}

// visit is the address that confirms a subscription to a topic.
func visit(topic string) string {
	return amazonHost + "/?Action=ConfirmSubscription&TopicArn=" + topic + "&Token=t"
}

// message is a signed message of a type; changes are names and values by turns.
func (a *amazon) message(t *testing.T, kind, topic string, changes ...string) string {
	t.Helper()
	m := map[string]string{
		"Type": kind, "MessageId": "m-1", "TopicArn": topic, "Message": `{"detail-type":"order.placed"}`, "Token": "t",
		"SubscribeURL": visit(topic), "Timestamp": "2031-05-17T11:59:00.000Z", "SignatureVersion": "2", "SigningCertURL": amazonHost + amazonCert,
	}
	for i := 0; i < len(changes); i += 2 {
		m[changes[i]] = changes[i+1]
	}
	names := []string{"Message", "MessageId", "SubscribeURL", "Timestamp", "Token", "TopicArn", "Type"}
	if kind == "Notification" {
		names = []string{"Message", "MessageId", "Timestamp", "TopicArn", "Type"}
	}
	var text string
	for _, name := range names {
		text += name + "\n" + m[name] + "\n"
	}
	digest := sha256.Sum256([]byte(text))
	signature, err := rsa.SignPKCS1v15(rand.Reader, a.key, crypto.SHA256, digest[:])
	require.NoError(t, err)
	m["Signature"] = base64.StdEncoding.EncodeToString(signature)
	body, err := json.Marshal(m)
	require.NoError(t, err)
	return string(body)
}

// snsDoor is a door for the messages of some topics.
func snsDoor(t *testing.T, a *amazon, params string) *doorway {
	t.Helper()
	w := openDoor(t, "sources:\n  aws:\n    provider: aws-sns\n"+params, a.network)
	w.now.nanos.Store(amazonDay.Add(12 * time.Hour).UnixNano())
	return w
}

const listed = "    params: {topics: \"" + ourTopic + "\"}\n"

func TestSubscriptionsOfSNSThroughTheDoor(t *testing.T) {
	a := newAmazon(t)
	const confirm, cert = "SubscriptionConfirmation", amazonHost + amazonCert
	other := &amazon{key: newAmazon(t).key}
	for _, test := range []struct {
		name, params, body string
		status             int
		fetched            []string
	}{
		{"a listed topic is confirmed", listed, a.message(t, confirm, ourTopic), 200, []string{cert, visit(ourTopic)}},
		{"one that is not listed causes no fetch at all", listed, a.message(t, confirm, theirTopic), 401, nil},
		{"without a list nothing is confirmed", "", a.message(t, confirm, ourTopic), 403, []string{cert}},
		{"a forged one is not confirmed", listed, other.message(t, confirm, ourTopic), 401, []string{cert}},
		{
			"one that confirms another topic is not", listed,
			a.message(t, confirm, ourTopic, "SubscribeURL", visit(theirTopic)), 403,
			[]string{cert},
		},
		{
			"an address elsewhere is not visited", listed,
			a.message(t, confirm, ourTopic, "SubscribeURL", "https://sns.example.com/?Action=ConfirmSubscription&TopicArn="+ourTopic), 403,
			[]string{cert},
		},
		{"a certificate elsewhere is not fetched", listed, a.message(t, confirm, ourTopic, "SigningCertURL", "https://sns.example.com"+amazonCert), 401, nil},
		{"a cancelled one is not renewed", listed, a.message(t, "UnsubscribeConfirmation", ourTopic), 200, []string{cert}},
	} {
		t.Run(test.name, func(t *testing.T) {
			w := snsDoor(t, a, test.params)
			got := w.post(t, "aws", test.body, "Content-Type", "text/plain; charset=UTF-8")
			require.Equal(t, test.status, got.status, got.body)
			require.Equal(t, test.fetched, a.fetched())
			require.Zero(t, w.engine.started.Load(), "a handshake is no event")
			noted := w.logs.FilterMessage("a sender has told something that the source's owner must know").Len() > 0
			require.Equal(t, test.status != 401, noted)
		})
	}
}

func TestAConfirmationThatFailsIsAskedForAgain(t *testing.T) {
	a := newAmazon(t)
	w := snsDoor(t, a, listed)
	body := a.message(t, "SubscriptionConfirmation", ourTopic)
	a.confirms(http.StatusInternalServerError)
	got := w.post(t, "aws", body)
	require.Equal(t, http.StatusServiceUnavailable, got.status)
	require.NotEmpty(t, got.header.Get("Retry-After"))
	require.Equal(t, []string{amazonHost + amazonCert, visit(ourTopic)}, a.fetched())
	a.confirms(http.StatusOK)
	require.Equal(t, http.StatusOK, w.post(t, "aws", body).status)
	require.Equal(t, []string{visit(ourTopic)}, a.fetched(), "the certificate is kept")
	note := a.message(t, "Notification", ourTopic)
	require.Equal(t, http.StatusOK, w.post(t, "aws", note).status)
	require.Empty(t, a.fetched())
	require.EqualValues(t, 1, w.engine.started.Load())
	w.now.advance(12 * time.Hour)
	require.Equal(t, http.StatusOK, w.post(t, "aws", note).status, "the last moment of the certificate")
	w.now.advance(time.Second)
	require.Equal(t, http.StatusUnauthorized, w.post(t, "aws", note).status)
}

func TestACertificateThatIsSlowToComeKeepsNobodyWaiting(t *testing.T) {
	a := newAmazon(t)
	w := snsDoor(t, a, listed)
	note := a.message(t, "Notification", ourTopic)
	a.mu.Lock() // The server of the certificate hangs.
	got := w.post(t, "aws", note)
	require.Equal(t, http.StatusServiceUnavailable, got.status)
	require.NotEmpty(t, got.header.Get("Retry-After"))
	a.mu.Unlock()
	require.Eventually(t, func() bool { return w.post(t, "aws", note).status == http.StatusOK }, time.Minute, 10*time.Millisecond,
		"the fetch went on; one that had failed would not be tried again at this time of the door")
	require.Equal(t, []string{amazonHost + amazonCert}, a.fetched())
}
