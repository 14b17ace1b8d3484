package coded_test

import (
	"encoding/json"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/grapnel/grapnel/internal/verify"
	"github.com/grapnel/grapnel/internal/verify/coded"
)

// codedVector is a test vector; see the source each one names.
type codedVector struct {
	ID, Scheme, Name, Method, Path, Body, Expect string
	Headers                                      map[string]string
	Secrets                                      []string
	Now                                          *int64
	Config                                       struct {
		URL            string
		Leeway         int
		CertificatePEM string `json:"certificate_pem"`
	}
}

// vectorProfiles are the profiles of the schemes that need code.
func vectorProfiles() map[string]verify.Profile {
	return map[string]verify.Profile{
		"twilio":          {Algorithm: "twilio"},
		"mandrill":        {Algorithm: "mandrill"},
		"adyen-payments":  {Algorithm: "adyen"},
		"aws-sns":         {Algorithm: "sns"},
		"paypal":          {Algorithm: "paypal"},
		"messagebird-jwt": messageBird(),
	}
}

// messageBird is the profile of MessageBird's signatures.
func messageBird() verify.Profile {
	return verify.Profile{Algorithm: "jwt", JWT: &verify.JWT{
		From: "header:MessageBird-Signature-JWT", Algorithms: []string{"HS256", "HS384", "HS512"},
		Issuers: []string{"MessageBird"}, BodyHash: "payload_hash", URLHash: "url_hash", HashEncoding: "hex",
		Leeway: time.Second,
	}}
}

// TestCodedVectors judges published vectors; the verdict and the reason must be the expected ones.
func TestCodedVectors(t *testing.T) {
	text, err := os.ReadFile("../../provider/testdata/vectors.json")
	require.NoError(t, err)
	var vectors []codedVector
	require.NoError(t, json.Unmarshal(text, &vectors))
	judged := 0
	for _, vector := range vectors {
		profile, known := vectorProfiles()[vector.Scheme]
		if !known {
			continue
		}
		judged++
		t.Run(vector.ID+" "+vector.Name, func(t *testing.T) {
			checker, err := coded.NewTestCoded(profile)
			require.NoError(t, err)
			header := http.Header{}
			for name, value := range vector.Headers {
				header.Set(name, value)
			}
			_, query, _ := strings.Cut(vector.Path, "?")
			request := &verify.Request{
				Method: vector.Method, URL: vector.Config.URL, Query: query,
				Header: verify.HTTPHeader(header), Body: []byte(vector.Body),
			}
			options := verify.Options{Fetch: noFetch(t), Certificate: []byte(vector.Config.CertificatePEM)}
			if vector.Now != nil {
				options.Now = time.Unix(*vector.Now, 0)
			}
			want := verify.Reason(strings.TrimPrefix(strings.TrimPrefix(vector.Expect, "invalid:"), "valid"))
			requireReason(t, want, checker.Verify(request, secretsOf(vector.Secrets...), options))
		})
	}
	require.GreaterOrEqual(t, judged, 37)
}
