package provider_test

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"hash/crc32"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/grapnel/grapnel/internal/provider"
	"github.com/grapnel/grapnel/internal/verify"
)

// eventID signs a request as the sender does, and gives the ID of its event.
func (l *lawful) eventID(t *testing.T, r *verify.Request) string {
	t.Helper()
	signed, err := l.sign(r)
	require.NoError(t, err)
	id, _, ok := l.event(signed)
	require.True(t, ok, "%s", signed.Body)
	return id
}

func TestNoAnswerOfAHandshakeIsTheSignatureOfAnEvent(t *testing.T) {
	l := newLawful(t, "x")
	for _, challenge := range []string{"12345", "hello", "null", "true", "1e5", "-1", "a.b", strings.Repeat("1", 256)} {
		t.Run(challenge[:min(8, len(challenge))], func(t *testing.T) {
			ask := &verify.Request{
				Method: http.MethodGet, URL: "https://hooks.example.com/x", Query: "crc_token=" + url.QueryEscape(challenge),
				Header: verify.HTTPHeader{},
			}
			a, err := l.v.Handshake(ask, l.secrets, verify.Unsigned, l.options)
			require.NoError(t, err)
			var answer struct {
				Token string `json:"response_token"`
			}
			require.NoError(t, json.Unmarshal(a.Body, &answer))
			require.NotEmpty(t, answer.Token, "the answer is needed: X asks every hour")
			forged := &verify.Request{
				Method: http.MethodPost, URL: ask.URL, Body: []byte(challenge),
				Header: verify.HTTPHeader{"X-Twitter-Webhooks-Signature": {answer.Token}},
			}
			refused(t, l.v.Verify(forged, l.secrets, l.options), verify.MalformedBody)
		})
	}
}

func TestAHashIsNotContinued(t *testing.T) {
	// SHA-256(secret‖body) is known, and so SHA-256(secret‖body‖padding‖more), whatever
	// the secret: the signature is right, and the body is none.
	for _, name := range []string{"hubspot-v1", "hubspot-v2"} {
		t.Run(name, func(t *testing.T) {
			l := newLawful(t, name)
			s, err := provider.NewSample(name, "", "seed", l.options.Now)
			require.NoError(t, err)
			r := request(s)
			r.Body = append(append(r.Body, "\x80\x00\x00\x00\x00\x00\x01\xf8"...), `[{"subscriptionType":"contact.deletion"}]`...)
			forged, err := l.sign(r)
			require.NoError(t, err)
			refused(t, l.v.Verify(forged, l.secrets, l.options), verify.MalformedBody)
			// The same in the URL, before a body of its own.
			r = request(s)
			r.URL += "?a=[]\x80\x00\x00\x01\xf8"
			if forged, err = l.sign(r); name == "hubspot-v2" {
				require.NoError(t, err)
				refused(t, l.v.Verify(forged, l.secrets, l.options), verify.MalformedSignature)
			}
		})
	}
}

func TestTimesFarAheadAreInNoWindow(t *testing.T) {
	for _, test := range []struct{ name, preset, header, before, text string }{
		{"seconds", "slack", "X-Slack-Request-Timestamp", "", "20000000000"},
		{"milliseconds where seconds are meant", "slack", "X-Slack-Request-Timestamp", "", "1700000000000"},
		{"a leading zero", "slack", "X-Slack-Request-Timestamp", "", "01700000000"},
		{"a plus", "slack", "X-Slack-Request-Timestamp", "", "+1700000000"},
		{"an exponent", "slack", "X-Slack-Request-Timestamp", "", "17e8"},
		{"RFC 3339", "twitch", "Twitch-Eventsub-Message-Timestamp", "", "9999-12-31T23:59:59Z"},
		{"milliseconds", "hubspot-v3", "X-Hubspot-Request-Timestamp", "", "253402300799000"},
	} {
		t.Run(test.name, func(t *testing.T) {
			l := newLawful(t, test.preset)
			s, err := provider.NewSample(test.preset, "", "seed", l.options.Now)
			require.NoError(t, err)
			r := request(s)
			r.Header.(verify.HTTPHeader)[test.header] = []string{test.text}
			signed, err := l.sign(r)
			if err == nil {
				err = l.v.Verify(signed, l.secrets, l.options)
			}
			refused(t, err, verify.TimestampTooNew, verify.MalformedTimestamp)
		})
	}
	require.NotNil(t, verify.JudgeAge(time.Unix(0, 0), time.Date(9999, 1, 1, 0, 0, 0, 0, time.UTC), time.Minute, time.Minute))
	require.NotNil(t, verify.JudgeAge(time.Date(9999, 1, 1, 0, 0, 0, 0, time.UTC), time.Unix(0, 0), time.Minute, time.Minute))
}

func TestJoinedPartsOfAnIDStayApart(t *testing.T) {
	l := newLawful(t, "cloudevents")
	id := func(source, id string) string {
		return l.eventID(t, &verify.Request{
			Method: http.MethodPost, URL: "https://hooks.example.com/c", Body: []byte(`{}`),
			Header: verify.HTTPHeader{"Ce-Source": {source}, "Ce-Id": {id}, "Ce-Type": {"t"}},
		})
	}
	seen := map[string]string{}
	for _, pair := range [][2]string{
		{"/sensors/1", "23"}, {"/sensors/12", "3"}, {"/sensors", "1 23"}, {"/sensors 1", "23"}, {"/sensors%25201", "23"}, {"/sensors", "1%252023"}, {"a.b", "c"}, {"a", "b.c"},
	} {
		got := id(pair[0], pair[1])
		require.Empty(t, seen[got], "%v", pair)
		seen[got] = pair[0] + " and " + pair[1]
		require.Equal(t, got, id(pair[0], pair[1]))
	}
}

func TestTwilioAsksForTheHashOfAnEmptyBody(t *testing.T) {
	l := newLawful(t, "twilio")
	for _, test := range []struct {
		name, hash string
		good       bool
	}{
		{"an empty hash", "", false},
		{"the hash of another body", strings.Repeat("0", 64), false},
		{"the hash of nothing", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855", true},
	} {
		t.Run(test.name, func(t *testing.T) {
			r := &verify.Request{Method: http.MethodPost, URL: "https://hooks.example.com/t?bodySHA256=" + test.hash, Header: verify.HTTPHeader{}}
			signed, err := l.sign(r)
			require.NoError(t, err)
			first, _, ok := l.event(signed)
			require.Equal(t, test.good, ok)
			again, _, _ := l.event(signed)
			require.Equal(t, first, again)
		})
	}
}

// One capture of PayPal's, with another body of the same checksum and 90 days later.
func TestPayPalKnowsAnEventByWhatIsSigned(t *testing.T) {
	l := newLawful(t, "paypal")
	s, err := provider.NewSample("paypal", "", "seed", l.options.Now)
	require.NoError(t, err)
	r, err := l.sign(request(s))
	require.NoError(t, err)
	id, _, ok := l.event(r)
	require.True(t, ok)
	forged := copied(r)
	text := strings.TrimSuffix(strings.Replace(string(r.Body), "30.00", "99.99", 1), "}") + `,"filler":"`
	forged.Body = sameChecksum(r.Body, text)
	require.Equal(t, crc32.ChecksumIEEE(r.Body), crc32.ChecksumIEEE(forged.Body))
	require.NotEqual(t, r.Body, forged.Body)
	require.NoError(t, l.v.Verify(forged, l.secrets, l.options), "the signature fits it")
	got, _ := provider.EventID(l.v, l.name, forged)
	require.Equal(t, id, got, "it is no other event")
	later := l.options
	later.Now = later.Now.Add(5 * 24 * time.Hour)
	later.Certificate = l.reissued(later.Now)
	refused(t, l.v.Verify(r, l.secrets, later), verify.TimestampTooOld)
	require.False(t, l.v.Covers("body:id"))
}

func TestAMessageOfMailgunIsKnownByItsToken(t *testing.T) {
	l := newLawful(t, "mailgun")
	mac := func(text string) string {
		m := hmac.New(sha256.New, []byte(l.signs.Value))
		_, _ = m.Write([]byte(text))
		sum := m.Sum(nil)
		const digits = "0123456789abcdef"
		var b strings.Builder
		for _, c := range sum {
			b.WriteByte(digits[c>>4])
			b.WriteByte(digits[c&15])
		}
		return b.String()
	}
	body := func(at, token string) *verify.Request {
		return &verify.Request{
			Method: http.MethodPost, URL: "https://hooks.example.com/m", Header: verify.HTTPHeader{},
			Body: []byte(`{"signature":{"timestamp":"` + at + `","token":"` + token + `","signature":"` + mac("17000000001234") + `"},"event-data":{"event":"x"}}`),
		}
	}
	_, _, ok := l.event(body("1700000000", "1234"))
	require.True(t, ok)
	for cut := 1; cut < 14; cut++ {
		if cut != 10 {
			_, _, ok := l.event(body("17000000001234"[:cut], "17000000001234"[cut:]))
			require.False(t, ok, cut)
		}
	}
}

func TestSecretsThatCanNotBeRight(t *testing.T) {
	good := base64.StdEncoding.EncodeToString(make([]byte, 32))
	for _, test := range []struct{ name, preset, secret, cure string }{
		{"white space before", "github", " " + good, "remove it"},
		{"a line break after", "zoom", good + "\n", "remove it"},
		{"quotes", "stripe", `"whsec_abc"`, "remove them"},
		{"a header's name", "zoom-legacy-token", "Authorization: " + good, "after"},
		{"a header's name before a key", "github", "X-Hub-Signature-256: " + good, "follows the colon"},
		{"the word Bearer", "cloudevents", "Bearer " + good, "remove the word"},
		{"two lines", "slack", good + "\n" + good, "line break"},
		{"no hex", "adyen-payments", "xyzzy", "not hex"},
		{"no hex for a public key", "discord", "xyzzy", "copy it again"},
		{"no base64", "standard-webhooks", "whsec_*", "copy it again"},
		{"no PEM", "fusionauth-jwt-public", "abc", "BEGIN PUBLIC KEY"},
		{"a broken PEM", "sendgrid", "-----BEGIN PUBLIC KEY-----\nabc\n-----END PUBLIC KEY-----\n", "copy it again"},
		{"a user without a password", "chargebee", "sesame", "user:password"},
		{"a sentence for a webhook's ID", "paypal", "my webhook", "dashboard"},
		{"nothing", "twilio", "", "empty"},
	} {
		t.Run(test.name, func(t *testing.T) {
			err := compile(t, test.preset).CheckSecret(test.secret)
			require.ErrorContains(t, err, strings.TrimPrefix(test.cure, "after"))
			if test.secret != "" {
				require.NotContains(t, err.Error(), test.secret)
			}
		})
	}
	require.NoError(t, compile(t, "github").CheckSecret("It's a Secret to Everybody"))
	for _, name := range provider.Names() {
		require.NoError(t, compile(t, name).CheckSecret(newLawful(t, name).goodSecret()), name)
	}
}

// goodSecret is a secret as the receiver has it.
func (l *lawful) goodSecret() string {
	if len(l.secrets) == 0 {
		return "none"
	}
	return l.secrets[0].Value
}

// sameChecksum gives text a tail by which its CRC-32 is that of body: a checksum is
// linear, so of 40 characters that may each be 0 or 1 some choice makes up for any
// difference. It is found by elimination over the 32 bits.
func sameChecksum(body []byte, text string) []byte {
	const free = 40
	made := []byte(text + strings.Repeat("0", free))
	base := crc32.ChecksumIEEE(made)
	var rows [32]struct{ sum, by uint64 } // by the highest bit: a change of the checksum, and what makes it
	for i := range free {
		made[len(text)+i] = '1'
		sum, by := uint64(crc32.ChecksumIEEE(made)^base), uint64(1)<<i
		made[len(text)+i] = '0'
		for bit := 31; bit >= 0 && sum != 0; bit-- {
			if sum>>bit&1 == 0 {
				continue
			}
			if rows[bit].sum == 0 {
				rows[bit].sum, rows[bit].by = sum, by
				break
			}
			sum, by = sum^rows[bit].sum, by^rows[bit].by
		}
	}
	want, by := uint64(crc32.ChecksumIEEE(body)^base), uint64(0)
	for bit := 31; bit >= 0; bit-- {
		if want>>bit&1 == 1 {
			want, by = want^rows[bit].sum, by^rows[bit].by
		}
	}
	for i := range free {
		made[len(text)+i] = '0' + byte(by>>i&1)
	}
	return made
}

func TestACapturedHandshakeIsNoEvent(t *testing.T) {
	l := newLawful(t, "twitch")
	for _, kind := range []string{"webhook_callback_verification", "notification", ""} {
		r := &verify.Request{
			Method: http.MethodPost, URL: "https://hooks.example.com/t", Header: verify.HTTPHeader{"Twitch-Eventsub-Message-Type": {kind}},
			Body: []byte(`{"challenge":"pogchamp","subscription":{"type":"channel.follow"}}`),
		}
		signed, err := l.sign(r)
		require.NoError(t, err)
		require.NoError(t, l.v.Verify(signed, l.secrets, l.options))
		_, _, ok := l.event(signed)
		require.False(t, ok, "its type stands in a header that nobody signed")
	}
}
