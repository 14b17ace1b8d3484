package verify

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// tokenLife is how long a token that Sign makes is valid.
const tokenLife = time.Minute

// Content implements CodedContent: the token's header and claims, which its signature covers.
func (j *jwt) Content(r *Request) ([]byte, error) {
	if j.options.Each {
		return nil, errors.New("the tokens stand in the body and do not cover it")
	}
	token, err := j.token(r)
	if err != nil {
		return nil, err
	}
	if _, err := j.parse(token); err != nil {
		return nil, err
	}
	return []byte(token[:strings.LastIndexByte(token, '.')]), nil
}

// Sign implements CodedSigner for HS algorithms; the private keys of the others are the sender's.
func (j *jwt) Sign(r *Request, s Secret, now time.Time) (Additions, error) {
	place, name, _ := strings.Cut(j.options.From, ":")
	if !j.symmetric || place != "header" {
		return Additions{}, errors.New("only tokens of HS algorithms in a header can be signed here; " +
			"the private key of others is the sender's")
	}
	claims, err := json.Marshal(j.sampleClaims(r, now))
	if err != nil {
		return Additions{}, fmt.Errorf("encode the claims: %w", err)
	}
	encode := base64.RawURLEncoding.EncodeToString
	content := encode([]byte(`{"alg":`+strconv.Quote(string(j.algorithms[0]))+`,"typ":"JWT"}`)) + "." + encode(claims)
	mac := hmacKey(s.Value).sign([]byte(content), j.algorithms[0])
	if mac == nil {
		return Additions{}, errors.New("the secret is empty")
	}
	token := content + "." + encode(mac)
	if strings.EqualFold(name, "Authorization") {
		token = "Bearer " + token
	}
	return Additions{Headers: []HeaderLine{{name, token}}}, nil
}

// sampleClaims are the claims of a good token for the request.
func (j *jwt) sampleClaims(r *Request, now time.Time) map[string]any {
	claims := map[string]any{"iat": now.Unix(), "nbf": now.Unix(), "exp": now.Add(tokenLife).Unix()}
	for names, text := range j.options.Claims {
		first, _, _ := strings.Cut(names, "|")
		claims[strings.TrimSpace(first)] = j.expand(text)
	}
	if len(j.options.Issuers) > 0 {
		claims["iss"] = j.expand(j.options.Issuers[0])
	}
	if audiences := wordList(j.expand(j.options.Audience)); len(audiences) > 0 {
		claims["aud"] = audiences[0]
	}
	if j.options.URLHash != "" {
		claims[j.options.URLHash] = j.hashOf([]byte(r.URL))
	}
	if j.options.BodyHash != "" && len(r.Body) > 0 {
		claims[j.options.BodyHash] = j.hashOf(r.Body)
	}
	id := sha256.Sum256(fmt.Appendf(nil, "%d\n%s", now.UnixNano(), r.Body))
	claims["jti"] = hex.EncodeToString(id[:16])
	return claims
}

// hashOf writes the SHA-256 of content in the profile's encoding.
func (j *jwt) hashOf(content []byte) string {
	sum := sha256.Sum256(content)
	if j.options.HashEncoding == "base64" {
		return base64.StdEncoding.EncodeToString(sum[:])
	}
	return hex.EncodeToString(sum[:])
}
