package coded

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/grapnel/grapnel/internal/verify"
)

func jwtTraits(p verify.Profile) verify.Traits {
	if p.JWT == nil {
		return verify.Traits{}
	}
	symmetric := len(p.JWT.Algorithms) > 0 && strings.HasPrefix(p.JWT.Algorithms[0], "HS")
	t := verify.Traits{
		Bearer:  p.JWT.BodyHash == "",
		Fetches: p.JWT.JWKS != "",
		// Where every item of a body has a token, the secrets are clientStates.
		Public:    !p.JWT.Each && !symmetric,
		Keyless:   p.JWT.JWKS != "",
		SignsBody: p.JWT.BodyHash != "",
		SignsURL:  p.JWT.URLHash != "",
		Signs:     "the token",
	}
	if p.JWT.BodyHash != "" {
		t.Signs += ", the body by its hash"
	}
	if p.JWT.URLHash != "" {
		t.Signs += ", the URL by its hash"
	}
	return t
}

// newJWT makes the verifier of the algorithm jwt. The error joins one sentence per fault of the
// profile's jwt block.
func newJWT(p verify.Profile) (verify.Coded, error) {
	if p.JWT == nil {
		return nil, errors.New("the algorithm jwt needs a jwt block")
	}
	j := &jwt{options: *p.JWT, params: p.Params, keys: newRemoteCache(parseJWKS)}
	j.jwks = j.expand(p.JWT.JWKS)
	return j, errors.Join(j.useAlgorithms(), j.checkKeys(), j.checkPlaces())
}

// useAlgorithms takes the allowed algorithms. HMAC and public keys are never mixed: a public key
// would else be taken for the secret of an HMAC.
func (j *jwt) useAlgorithms() error {
	if len(j.options.Algorithms) == 0 {
		return errors.New("jwt.algorithms is empty; name the algorithms that are taken")
	}
	var secret, public bool
	for _, name := range j.options.Algorithms {
		switch algorithm := jose.SignatureAlgorithm(name); algorithm {
		case jose.HS256, jose.HS384, jose.HS512:
			secret = true
		case jose.RS256, jose.RS384, jose.RS512, jose.PS256, jose.PS384, jose.PS512,
			jose.ES256, jose.ES384, jose.ES512, jose.EdDSA:
			public = true
		default:
			return fmt.Errorf("jwt.algorithms: %q is not taken; use HS, RS, PS or ES with 256, 384 or 512, or EdDSA", name)
		}
		j.algorithms = append(j.algorithms, jose.SignatureAlgorithm(name))
	}
	if secret && public {
		return errors.New("jwt.algorithms: HS algorithms cannot stand beside those of public keys")
	}
	j.symmetric = secret
	return nil
}

// checkKeys checks where keys come from and that a token of the same issuer for somebody else does
// not pass.
func (j *jwt) checkKeys() error {
	if j.options.JWKS == "" {
		return nil
	}
	if j.symmetric {
		return errors.New("jwt.jwks: a key set cannot hold the secrets of HS algorithms")
	}
	if j.options.Audience == "" && j.options.BodyHash == "" {
		return errors.New("jwt.audience is needed with jwt.jwks; the issuer signs tokens for others too")
	}
	if j.jwks != "" && !jwksURL(j.jwks) {
		return errors.New("jwt.jwks must be an https URL")
	}
	return nil
}

// checkPlaces checks where the token stands and how digests are written.
func (j *jwt) checkPlaces() error {
	place, name, _ := strings.Cut(j.options.From, ":")
	if name == "" || (place != "header" && place != "query" && place != "body") {
		return errors.New("jwt.from: write header:X, query:x or body:path")
	}
	if j.options.Each != (place == "body") {
		return errors.New("jwt.each goes with a jwt.from of body:path, and only with that")
	}
	if j.options.Each && j.options.JWKS == "" {
		return errors.New("jwt.each needs jwt.jwks; the source's secrets are clientStates there, not keys")
	}
	hashed := j.options.BodyHash != "" || j.options.URLHash != ""
	if encoding := j.options.HashEncoding; encoding != "hex" && encoding != "base64" && (hashed || encoding != "") {
		return errors.New("jwt.hash_encoding must be hex or base64")
	}
	return nil
}

// jwksURL reports whether a key set may be read from the URL, which only the configuration names:
// https, or plain http on this machine.
func jwksURL(text string) bool {
	parsed, err := url.Parse(text)
	if err != nil || parsed.User != nil || parsed.Host == "" {
		return false
	}
	local := slices.Contains([]string{"127.0.0.1", "::1", "localhost"}, parsed.Hostname())
	return parsed.Scheme == "https" || (parsed.Scheme == "http" && local)
}

// expand replaces {param:x} by what the source's owner gave; a parameter without a value gives "".
func (j *jwt) expand(text string) string {
	for {
		before, after, ok := strings.Cut(text, "{param:")
		name, rest, closed := strings.Cut(after, "}")
		if !ok || !closed {
			return text
		}
		if j.params[name] == "" {
			return ""
		}
		text = before + strings.ReplaceAll(j.params[name], "{param:", "") + rest
	}
}

// tokenLife is how long a token that Sign makes is valid.
const tokenLife = time.Minute

// Content implements verify.Coded: the token's header and claims, which its signature covers.
func (j *jwt) Content(r *verify.Request) ([]byte, error) {
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

// Sign implements verify.CodedSigner. Algorithms of public keys take a private key in PEM, and its
// name in the key set as the secret's key ID.
func (j *jwt) Sign(r *verify.Request, s verify.Secret, now time.Time) (verify.Additions, error) {
	claims, err := json.Marshal(j.sampleClaims(r, now))
	if err != nil {
		return verify.Additions{}, fmt.Errorf("encode the claims: %w", err)
	}
	token, err := j.makeToken(claims, s)
	if err != nil {
		return verify.Additions{}, err
	}
	place, name, _ := strings.Cut(j.options.From, ":")
	switch {
	case place == "body":
		var body map[string]any
		if err := json.Unmarshal(r.Body, &body); err != nil {
			return verify.Additions{}, errors.New("the body has no place for the token")
		}
		body[strings.TrimSuffix(name, "[]")] = []string{token}
		text, err := json.Marshal(body)
		return verify.Additions{Body: text}, err
	case place == "query":
		return verify.Additions{}, errors.New("the token of this sender stands in the URL; add it there")
	case strings.EqualFold(name, "Authorization"):
		token = "Bearer " + token
	}
	return verify.Additions{Headers: []verify.HeaderLine{{Name: name, Value: token}}}, nil
}

// makeToken signs claims with the first of the algorithms that suits the key.
func (j *jwt) makeToken(claims []byte, s verify.Secret) (string, error) {
	if j.symmetric {
		encode := base64.RawURLEncoding.EncodeToString
		content := encode([]byte(`{"alg":`+strconv.Quote(string(j.algorithms[0]))+`,"typ":"JWT"}`)) + "." + encode(claims)
		mac := hmacKey(s.Value).sign([]byte(content), j.algorithms[0])
		if mac == nil {
			return "", errors.New("the secret is empty")
		}
		return content + "." + encode(mac), nil
	}
	key, err := privateKey(s.Value)
	if err != nil {
		return "", err
	}
	at := slices.IndexFunc(j.algorithms, func(a jose.SignatureAlgorithm) bool { return keySuits(key.Public(), string(a)) })
	if at < 0 {
		return "", errors.New("the private key suits none of the sender's algorithms")
	}
	signer, err := jose.NewSigner(jose.SigningKey{
		Algorithm: j.algorithms[at], Key: jose.JSONWebKey{Key: key, KeyID: s.KeyID},
	}, (&jose.SignerOptions{}).WithType("JWT"))
	if err != nil {
		return "", fmt.Errorf("sign: %w", err)
	}
	signed, err := signer.Sign(claims)
	if err != nil {
		return "", fmt.Errorf("sign: %w", err)
	}
	return signed.CompactSerialize() //nolint:wrapcheck // It never fails for one signature.
}

// sampleClaims are the claims of a good token for the request.
func (j *jwt) sampleClaims(r *verify.Request, now time.Time) map[string]any {
	claims := map[string]any{"iat": now.Unix(), "nbf": now.Unix(), "exp": now.Add(tokenLife).Unix()}
	for names, text := range j.options.Claims {
		first, _, _ := strings.Cut(names, "|")
		claims[strings.TrimSpace(first)] = j.expand(text)
	}
	if len(j.options.Issuers) > 0 {
		const tenant = "84bd8158-6d4d-4958-8b9f-9d6445542f95" // Anybody's, in Microsoft's examples.
		issuer := j.expand(j.options.Issuers[0])
		if strings.Contains(issuer, "{tid}") {
			claims["tid"] = tenant
		}
		claims["iss"] = strings.ReplaceAll(issuer, "{tid}", tenant)
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
