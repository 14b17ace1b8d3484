package destination

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"

	"github.com/grapnel/grapnel/internal/secret"
	"github.com/grapnel/grapnel/internal/verify"
)

// The Standard Webhooks specification, "Signature scheme": a secret is
// serialised as base64 behind whsec_ and has 24 to 64 bytes.
const (
	minKey = 24
	maxKey = 64
)

func decodeSecrets(secrets []secret.Secret) ([][]byte, error) {
	var keys [][]byte
	var faults []error
	for i, s := range secrets {
		key, err := decodeSecret(s.Reveal())
		if err != nil {
			faults = append(faults, fmt.Errorf("secret %d %w", i+1, err))
			continue
		}
		keys = append(keys, key)
	}
	return keys, errors.Join(faults...)
}

// decodeSecret decodes a secret. Its errors tell nothing of the secret, not even the position of
// a wrong character.
func decodeSecret(s string) ([]byte, error) {
	if !strings.HasPrefix(s, verify.WhsecPrefix) {
		return nil, errors.New("does not begin with whsec_, make one with: echo whsec_$(openssl rand -base64 32)")
	}
	key, err := verify.DecodeWhsec(s)
	if err != nil {
		return nil, errors.New("is not base64 behind its whsec_")
	}
	if len(key) < minKey || len(key) > maxKey {
		return nil, fmt.Errorf("has %d bytes, Standard Webhooks wants %d to %d", len(key), minKey, maxKey)
	}
	return key, nil
}

// sign sets the three headers of Standard Webhooks. The text "id.timestamp.body" is signed with
// each key, so that a receiver can change its secret while deliveries go on.
func (h *httpDestination) sign(header http.Header, id string, body []byte) {
	timestamp := strconv.FormatInt(h.now().Unix(), 10)
	header.Set("Webhook-Id", id)
	header.Set("Webhook-Timestamp", timestamp)
	signatures := make([]string, len(h.keys))
	for i, key := range h.keys {
		mac := hmac.New(sha256.New, key)
		mac.Write([]byte(id + "." + timestamp + "."))
		mac.Write(body)
		signatures[i] = "v1," + base64.StdEncoding.EncodeToString(mac.Sum(nil))
	}
	if len(signatures) > 0 {
		header.Set("Webhook-Signature", strings.Join(signatures, " "))
	}
}
