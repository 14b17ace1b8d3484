package coded

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"math"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/grapnel/grapnel/internal/verify"
)

// issuerPart matches a claim that may be put into the template of an issuer.
var issuerPart = regexp.MustCompile(`^[A-Za-z0-9-]{1,64}$`)

// checkTimes checks exp, nbf and iat (RFC 7519, section 4.1), each with the leeway. A token
// without exp is accepted only if it is bound to its body.
func (j *jwt) checkTimes(claims map[string]any, now time.Time) error {
	expires, present, ok := timeClaim(claims, "exp")
	if !ok || (!present && j.options.BodyHash == "") {
		return verify.Refuse(verify.ClaimMismatch, "the token has no usable exp")
	}
	if present && now.After(expires.Add(j.options.Leeway)) {
		return verify.Refuse(verify.Expired, "the token has expired")
	}
	for _, name := range []string{"nbf", "iat"} {
		from, present, ok := timeClaim(claims, name)
		if !ok {
			return verify.Refuse(verify.ClaimMismatch, "The token's "+name+" is not a time.")
		}
		if present && now.Add(j.options.Leeway).Before(from) {
			failure := verify.Refuse(verify.TimestampTooNew, "The token's "+name+" is in the future.")
			failure.Step = verify.StepSignature // A token that does not hold yet is a wrong credential: 401.
			return failure
		}
	}
	return nil
}

// timeClaim reads a NumericDate; ok is false if the claim is there but is not a NumericDate.
func timeClaim(claims map[string]any, name string) (at time.Time, present, ok bool) {
	value, present := claims[name]
	if !present {
		return time.Time{}, false, true
	}
	number, _ := value.(json.Number)
	seconds, err := number.Float64()
	if err != nil || math.Abs(seconds) > 1e11 {
		return time.Time{}, true, false
	}
	return time.UnixMilli(int64(seconds * 1000)), true, true
}

// checkClaims checks issuer, audience and the named claims. A claim fails if the profile asks for
// it and the source's owner has left its value empty.
func (j *jwt) checkClaims(claims map[string]any) error {
	if len(j.options.Issuers) > 0 && !slices.ContainsFunc(j.options.Issuers, func(issuer string) bool {
		want := issuerOf(j.expand(issuer), claims)
		return want != "" && claimText(claims["iss"]) == want
	}) {
		return verify.Refuse(verify.ClaimMismatch, "the token's issuer is not one of the source's")
	}
	if j.options.Audience != "" && !audienceHolds(claims["aud"], wordList(j.expand(j.options.Audience))) {
		return verify.Refuse(verify.ClaimMismatch, "the token is not for the source's audience")
	}
	for name, text := range j.options.Claims {
		if want := j.expand(text); want == "" || claimText(firstClaim(claims, name)) != want {
			return verify.Refuse(verify.ClaimMismatch, "The token's claim "+name+" is not the one expected.")
		}
	}
	return nil
}

// issuerOf fills {tid} in an issuer with the token's own claim, for issuers that name the tenant as
// Microsoft's do.
func issuerOf(issuer string, claims map[string]any) string {
	if !strings.Contains(issuer, "{tid}") {
		return issuer
	}
	tenant := claimText(claims["tid"])
	if !issuerPart.MatchString(tenant) {
		return ""
	}
	return strings.ReplaceAll(issuer, "{tid}", tenant)
}

// firstClaim returns the first of the claims a|b|c that the token has.
func firstClaim(claims map[string]any, names string) any {
	for name := range strings.SplitSeq(names, "|") {
		if value, present := claims[strings.TrimSpace(name)]; present {
			return value
		}
	}
	return nil
}

// claimText gives the text of a scalar claim; other claims have none.
func claimText(value any) string {
	switch value := value.(type) {
	case string:
		return value
	case bool:
		return strconv.FormatBool(value)
	case json.Number:
		return value.String()
	default:
		return ""
	}
}

// audienceHolds reports whether aud, a text or a list of texts, names one of the wanted audiences.
func audienceHolds(aud any, wanted []string) bool {
	list, ok := aud.([]any)
	if !ok {
		list = []any{aud}
	}
	return slices.ContainsFunc(list, func(one any) bool {
		text, ok := one.(string)
		return ok && text != "" && slices.Contains(wanted, text)
	})
}

// checkHashes checks the claims that bind the token to its request.
func (j *jwt) checkHashes(claims map[string]any, r *verify.Request) error {
	if name := j.options.URLHash; name != "" && (r.URL == "" || !j.hashIs(claims[name], []byte(r.URL))) {
		return verify.Refuse(verify.ClaimMismatch, "the token is for another URL; check the public URL of the source")
	}
	name := j.options.BodyHash
	if name == "" {
		return nil
	}
	value, present := claims[name]
	switch {
	case len(r.Body) == 0 && !present, j.hashIs(value, r.Body):
		return nil
	case len(r.Body) == 0 || !present:
		return verify.Refuse(verify.ClaimMismatch, "the token and the request disagree on whether there is a body")
	default:
		return verify.Refuse(verify.BodyHashMismatch, "the token is for another body")
	}
}

// hashIs reports whether a claim holds the SHA-256 of content in the profile's encoding.
func (j *jwt) hashIs(claim any, content []byte) bool {
	text, _ := claim.(string)
	decode := hex.DecodeString
	if j.options.HashEncoding == "base64" {
		decode = decodeStrict
	}
	sum, err := decode(text)
	own := sha256.Sum256(content)
	return err == nil && hmac.Equal(sum, own[:])
}
