package verify

import (
	"encoding/base64"
	"errors"
	"net/url"
	"strings"

	"github.com/go-jose/go-jose/v4"
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
	options    JWT
	params     map[string]string
	algorithms []jose.SignatureAlgorithm
	symmetric  bool
	jwks       string
	keys       *remoteCache[[]jose.JSONWebKey]
}

// Verify implements Coded. Secrets are the keys, except with a key set: there they are not used, or
// are the clientStates of Microsoft Graph's notifications.
func (j *jwt) Verify(r *Request, secrets []Secret, o Options) error {
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
func (j *jwt) token(r *Request) (string, error) {
	place, name, _ := strings.Cut(j.options.From, ":")
	if place == "header" {
		text, err := codedHeader(r, name, MissingSignature)
		if scheme, after, ok := strings.Cut(text, " "); ok && strings.EqualFold(scheme, "Bearer") {
			text = strings.TrimSpace(after)
		}
		return text, err
	}
	values, err := url.ParseQuery(r.Query)
	if found := values[name]; err == nil && len(found) == 1 && found[0] != "" {
		return found[0], nil
	}
	return "", codedFailure(MissingSignature, "The query holds no token, or several.")
}

// verifyToken judges one token.
func (j *jwt) verifyToken(text string, r *Request, secrets []Secret, o Options) error {
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
		return codedFailure(ClaimMismatch, "The token's claims are not an unambiguous JSON object.")
	}
	if err := j.checkTimes(claims, judgedAt(o)); err != nil {
		return err
	}
	if err := j.checkClaims(claims); err != nil {
		return err
	}
	return j.checkHashes(claims, r)
}

// parse reads the compact form strictly: one spelling per token, an allowed algorithm, and no header
// that asks for more than this package does.
func (j *jwt) parse(text string) (*jose.JSONWebSignature, error) {
	parts := strings.Split(text, ".")
	if len(text) > maxToken || len(parts) != 3 || strings.ContainsAny(text, "\r\n") {
		return nil, codedFailure(MalformedSignature, "The token is not a JWS in compact form.")
	}
	for _, part := range parts {
		if _, err := base64.RawURLEncoding.Strict().DecodeString(part); err != nil {
			return nil, codedFailure(MalformedSignature, "The token is not a JWS in compact form.")
		}
	}
	token, err := jose.ParseSignedCompact(text, j.algorithms)
	if _, ok := errors.AsType[*jose.ErrUnexpectedSignatureAlgorithm](err); ok {
		return nil, codedFailure(UnsupportedAlgorithm, "The token's algorithm is not allowed.")
	}
	if err != nil || len(token.Signatures) != 1 {
		return nil, codedFailure(MalformedSignature, "The token is not a JWS in compact form.")
	}
	for _, name := range []jose.HeaderKey{"crit", "b64"} {
		if _, present := token.Signatures[0].Header.ExtraHeaders[name]; present {
			return nil, codedFailure(UnsupportedAlgorithm, "The token's header names an extension.")
		}
	}
	return token, nil
}

// Covers implements CodedCover. A token vouches for the body or the query only by their digest.
func (j *jwt) Covers(source string) bool {
	return !j.options.Each && codedCovers(source, func(kind, _ string) bool {
		switch kind {
		case "body", "form":
			return j.options.BodyHash != ""
		case "query":
			return j.options.URLHash != ""
		}
		return false
	})
}
