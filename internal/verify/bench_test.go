package verify_test

import (
	"bytes"
	"crypto/ed25519"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/grapnel/grapnel/internal/verify"
)

// scheme is one rule under measurement, and the bare primitive beside it.
type scheme struct {
	name    string
	profile verify.Profile
	signs   string
	public  string
	bare    func(body []byte) func()
}

func schemes() []scheme {
	key := bytes.Repeat([]byte("k"), 32)
	private := ed25519.NewKeyFromSeed(key)
	mac := func(body []byte) func() {
		return func() {
			h := hmac.New(sha256.New, key)
			h.Write(body)
			h.Sum(nil)
		}
	}
	standard := verify.Profile{
		Algorithm: "hmac-sha256", Key: "whsec", Content: "{id}.{timestamp}.{body}", MessageID: "header:Webhook-Id|header:Svix-Id",
		Signature: verify.Signature{Headers: []string{"Webhook-Signature", "Svix-Signature"}, Grammar: "list", Keys: []string{"v1"}, Encoding: "base64"},
		Timestamp: verify.Timestamp{From: "header:Webhook-Timestamp|header:Svix-Timestamp"},
	}
	discord := verify.Profile{
		Algorithm: "ed25519", Key: "hex", Content: "{timestamp}{body}",
		Signature: verify.Signature{Headers: []string{"X-Signature-Ed25519"}},
		Timestamp: verify.Timestamp{From: "header:X-Signature-Timestamp"},
	}
	secret := "whsec_" + base64.StdEncoding.EncodeToString(key)
	return []scheme{
		{"hmac", bodySigned(), string(key), string(key), mac},
		{"standard-webhooks", standard, secret, secret, mac},
		{"ed25519", discord, hex.EncodeToString(key), hex.EncodeToString(private.Public().(ed25519.PublicKey)), func(body []byte) func() {
			sig := ed25519.Sign(private, body)
			public := private.Public().(ed25519.PublicKey)
			return func() { ed25519.Verify(public, body, sig) }
		}},
	}
}

// ratio is the time of ours as a multiple of that of bare: the median of rounds
// in which they take turns, so that a busy machine slows down both.
func ratio(ours, bare func()) float64 {
	const rounds, long = 41, 500 * time.Microsecond
	times := func(n int, f func()) time.Duration {
		start := time.Now()
		for range n {
			f()
		}
		return time.Since(start)
	}
	n := 1
	for times(n, bare) < long {
		n *= 2
	}
	all := make([]float64, rounds)
	for i := range all {
		all[i] = float64(times(n, ours)) / float64(times(n, bare))
	}
	slices.Sort(all)
	return all[rounds/2]
}

// BenchmarkVerify measures a whole verification; the metric x-bare is its time
// as a multiple of the bare primitive's over the same bytes, in the same run.
func BenchmarkVerify(b *testing.B) {
	for _, s := range schemes() {
		for _, size := range []int{500, 5 << 10, 500 << 10} {
			b.Run(fmt.Sprintf("%s/%dB", s.name, size), func(b *testing.B) {
				v := reader(b, s.profile)
				r := sign(b, v, post(string(bytes.Repeat([]byte("x"), size))), verify.Secret{Value: s.signs})
				secrets := one(s.public)
				o := at()
				bare := s.bare(r.Body)
				b.SetBytes(int64(size))
				b.ReportAllocs()
				for b.Loop() {
					if err := v.Verify(r, secrets, o); err != nil {
						b.Fatal(err)
					}
				}
				b.ReportMetric(ratio(func() { _ = v.Verify(r, secrets, o) }, bare), "x-bare")
			})
		}
	}
}

// BenchmarkIdentify measures reading type, id, subject and time out of a body.
func BenchmarkIdentify(b *testing.B) {
	p := bodySigned()
	p.Identity = verify.Identity{Type: "body:event", ID: "body:payload.object.uuid", Subject: "body:payload.object.topic", Time: "body:event_ts", TimeFormat: "ms"}
	v := reader(b, p)
	r := post(`{"event":"meeting.started","event_ts":1700000000000,"payload":{"account_id":"a","object":{"uuid":"u","id":"1","host_id":"h","topic":"Weekly","start_time":"2023-06-20T15:00:00Z"}}}`)
	b.ReportAllocs()
	for b.Loop() {
		if v.Identify(r).Type == "" {
			b.Fatal("no type")
		}
	}
}
