package coded

import (
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"net/url"
	"strings"

	"github.com/go-jose/go-jose/v4"

	"github.com/grapnel/grapnel/internal/verify"
)

const (
	// maxToken bounds the text of one token. Google's and Microsoft's are under 3 KiB.
	maxToken = 16 << 10
	// maxTokens bounds the tokens of one body.
	maxTokens = 64
)

// jwt verifies requests that carry JSON Web Tokens in compact form (RFC 7519): signature, issuer,
// audience, times, claims, and the claims that hold digests of the body and the URL.
type jwt struct {
	options    verify.JWT
	params     map[string]string
	algorithms []jose.SignatureAlgorithm
	symmetric  bool
	jwks       string
	keys       *remoteCache[[]jose.JSONWebKey]
}

// Verify implements verify.Coded. Secrets are the keys, except with a key set: there they are not
// used, or are the clientStates of Microsoft Graph's notifications.
func (j *jwt) Verify(r *verify.Request, secrets []verify.Secret, o verify.Options) error {
	if j.options.Each {
		return j.verifyEach(r, secrets, o)
	}
	token, err := j.token(r)
	if err != nil {
		return err
	}
	return j.verifyToken(token, r, secrets, o)
}

// token returns the one token of a header or a query.
func (j *jwt) token(r *verify.Request) (string, error) {
	place, name, _ := strings.Cut(j.options.From, ":")
	if place == "header" {
		text, err := oneHeader(r, name, verify.MissingSignature)
		if scheme, after, ok := strings.Cut(text, " "); ok && strings.EqualFold(scheme, "Bearer") {
			text = strings.TrimSpace(after)
		}
		return text, err
	}
	values, err := url.ParseQuery(r.Query)
	if found := values[name]; err == nil && len(found) == 1 && found[0] != "" {
		return found[0], nil
	}
	return "", verify.Refuse(verify.MissingSignature, "the query holds no token, or several")
}

// verifyToken judges one token.
func (j *jwt) verifyToken(text string, r *verify.Request, secrets []verify.Secret, o verify.Options) error {
	token, err := j.parse(text)
	if err != nil {
		return err
	}
	payload, err := j.open(token, secrets, o)
	if err != nil {
		return err
	}
	claims, err := strictObject(payload)
	if err != nil {
		return verify.Refuse(verify.ClaimMismatch, "the token's claims are not an unambiguous JSON object")
	}
	if err := j.checkTimes(claims, o.Instant()); err != nil {
		return err
	}
	if err := j.checkClaims(claims); err != nil {
		return err
	}
	return j.checkHashes(claims, r)
}

// parse reads the compact form strictly: one spelling per token, an allowed algorithm, and no
// header that asks for more than this package does.
func (j *jwt) parse(text string) (*jose.JSONWebSignature, error) {
	parts := strings.Split(text, ".")
	if len(text) > maxToken || len(parts) != 3 || strings.ContainsAny(text, "\r\n") {
		return nil, verify.Refuse(verify.MalformedSignature, "the token is not a JWS in compact form")
	}
	for _, part := range parts {
		if _, err := base64.RawURLEncoding.Strict().DecodeString(part); err != nil {
			return nil, verify.Refuse(verify.MalformedSignature, "the token is not a JWS in compact form")
		}
	}
	token, err := jose.ParseSignedCompact(text, j.algorithms)
	if _, ok := errors.AsType[*jose.ErrUnexpectedSignatureAlgorithm](err); ok {
		return nil, verify.Refuse(verify.UnsupportedAlgorithm, "the token's algorithm is not allowed")
	}
	if err != nil || len(token.Signatures) != 1 {
		return nil, verify.Refuse(verify.MalformedSignature, "the token is not a JWS in compact form")
	}
	for _, name := range []jose.HeaderKey{"crit", "b64"} {
		if _, present := token.Signatures[0].Header.ExtraHeaders[name]; present {
			return nil, verify.Refuse(verify.UnsupportedAlgorithm, "the token's header names an extension")
		}
	}
	return token, nil
}

// Covers implements verify.Coded. A token vouches for the body or the query only by their digest.
func (j *jwt) Covers(kind, _ string) bool {
	switch kind {
	case "body", "form":
		return j.options.BodyHash != ""
	case "query":
		return j.options.URLHash != ""
	}
	return false
}

// verifyEach judges a body that holds several tokens, as Microsoft Graph's collections of change
// notifications do. Every token must be good. With secrets, every notification's clientState must
// be one of them, and tokens are needed where a notification carries resource data; without secrets
// the tokens are all there is, so they are always needed.
// https://learn.microsoft.com/graph/change-notifications-with-resource-data
func (j *jwt) verifyEach(r *verify.Request, secrets []verify.Secret, o verify.Options) error {
	body, err := strictObject(r.Body, []string{"value", "validationTokens"}, nil, []string{"clientState", "encryptedContent"})
	if err != nil {
		return verify.Refuse(verify.MissingSignature, "the body is not an unambiguous JSON object")
	}
	needed := true
	if len(secrets) > 0 {
		states, err := activeKeys(secrets, o)
		if err != nil {
			return err
		}
		if needed, err = checkClientStates(body, states); err != nil {
			return err
		}
	}
	tokens, err := j.bodyTokens(body)
	if err != nil {
		return err
	}
	if needed && len(tokens) == 0 {
		return verify.Refuse(verify.MissingSignature, "the notifications came without tokens")
	}
	for _, token := range tokens {
		if err := j.verifyToken(token, r, nil, o); err != nil {
			return err
		}
	}
	return nil
}

// bodyTokens returns the texts of the list of tokens in a body; the list may be absent.
func (j *jwt) bodyTokens(body map[string]any) ([]string, error) {
	path := strings.TrimSuffix(strings.TrimPrefix(j.options.From, "body:"), "[]")
	var value any = body
	for name := range strings.SplitSeq(path, ".") {
		object, _ := value.(map[string]any)
		value = object[name]
	}
	if value == nil {
		return nil, nil
	}
	list, ok := value.([]any)
	if !ok || len(list) > maxTokens {
		return nil, verify.Refuse(verify.MalformedSignature, "the tokens are not a list, or too many")
	}
	tokens := make([]string, 0, len(list))
	for _, one := range list {
		token, ok := one.(string)
		if !ok {
			return nil, verify.Refuse(verify.MalformedSignature, "a token is not a text")
		}
		tokens = append(tokens, token)
	}
	return tokens, nil
}

// checkClientStates compares the clientState of every notification with the secrets, and reports
// whether a notification carries resource data.
func checkClientStates(body map[string]any, states []string) (rich bool, err error) {
	list, _ := body["value"].([]any)
	if len(list) == 0 {
		return false, verify.Refuse(verify.MissingSignature, "the body holds no notifications")
	}
	for _, one := range list {
		notification, _ := one.(map[string]any)
		state, _ := notification["clientState"].(string)
		if state == "" {
			return false, verify.Refuse(verify.MissingSignature, "a notification has no clientState")
		}
		if !equalsAny(state, states) {
			return false, verify.Refuse(verify.TokenMismatch, "a notification's clientState is not the source's")
		}
		if notification["encryptedContent"] != nil {
			rich = true
		}
	}
	return rich, nil
}

// equalsAny compares a text with several in a time that does not depend on what they hold.
func equalsAny(text string, wanted []string) bool {
	sum, found := sha256.Sum256([]byte(text)), 0
	for _, want := range wanted {
		other := sha256.Sum256([]byte(want))
		found |= subtle.ConstantTimeCompare(sum[:], other[:])
	}
	return found == 1
}
