// Package coded verifies senders whose rules a profile can't express: Twilio, Mandrill, Amazon
// SNS, PayPal, Adyen's payments, and those that sign JSON Web Tokens. It uses only exported names
// of package verify.
package coded

import (
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	_ "crypto/sha1" //nolint:gosec // SNS and Twilio still sign with SHA-1.
	_ "crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/grapnel/grapnel/internal/verify"
)

// Schemes is the table of the coded verifiers, each under the name of its algorithm.
func Schemes() verify.Schemes {
	return verify.Schemes{
		"adyen":    {New: newAdyen, Traits: adyenTraits},
		"jwt":      {New: newJWT, Traits: jwtTraits},
		"mandrill": {New: newMandrill, Traits: mandrillTraits},
		"paypal":   {New: newPayPal, Traits: paypalTraits},
		"sns":      {New: newSNS, Traits: snsTraits},
		"twilio":   {New: newTwilio, Traits: twilioTraits},
	}
}

// oneHeader returns the value of a header. A header with several lines is refused, because nobody
// knows which of them another reader takes.
func oneHeader(r *verify.Request, name string, missing verify.Reason) (string, error) {
	values := r.Header.Values(name)
	if len(values) == 0 || (len(values) == 1 && strings.TrimSpace(values[0]) == "") {
		return "", verify.Refuse(missing, "the header "+name+" is absent")
	}
	if len(values) > 1 {
		return "", verify.Refuse(verify.MalformedSignature, "the header "+name+" is there more than once")
	}
	return strings.TrimSpace(values[0]), nil
}

// signatureHeader gives the header that a profile names for the signature, else the sender's
// usual one.
func signatureHeader(p verify.Profile, usual string) string {
	if len(p.Signature.Headers) > 0 && p.Signature.Headers[0] != "" {
		return p.Signature.Headers[0]
	}
	return usual
}

// activeKeys returns the texts of the active secrets that are not empty. If there are none, the
// request is refused.
func activeKeys(secrets []verify.Secret, o verify.Options) ([]string, error) {
	var keys []string
	for _, secret := range secrets {
		if secret.Value != "" && secret.Active(o.Now) {
			keys = append(keys, secret.Value)
		}
	}
	if len(keys) == 0 {
		return nil, verify.Refuse(verify.EmptySecret, "the source has no active secret, or an empty one")
	}
	return keys, nil
}

// decodeStrict decodes padded base64 and takes nothing else, so that a signature can be written
// in only one way.
func decodeStrict(text string) ([]byte, error) {
	if strings.ContainsAny(text, "\r\n") {
		return nil, base64.CorruptInputError(0)
	}
	return base64.StdEncoding.Strict().DecodeString(text)
}

// verifyRSA checks an RSA PKCS #1 v1.5 signature over content.
func verifyRSA(key *rsa.PublicKey, hash crypto.Hash, content []byte, signature []byte) error {
	digest := hash.New()
	digest.Write(content)
	if rsa.VerifyPKCS1v15(key, hash, digest.Sum(nil), signature) != nil {
		return verify.Refuse(verify.SignatureMismatch, "the signature does not fit the message")
	}
	return nil
}

// privateKey reads the private key with which Sign signs for a public-key scheme: PKCS #8 in PEM.
// It is never the sender's own, which nobody else has.
func privateKey(text string) (crypto.Signer, error) {
	block, _ := pem.Decode([]byte(text))
	if block == nil {
		return nil, errors.New("this sender signs with a private key; give one in PEM, whose certificate or key set the receiver takes")
	}
	key, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return nil, errors.New("the private key is not PKCS #8")
	}
	signer, ok := key.(crypto.Signer)
	if !ok {
		return nil, errors.New("the private key is of no kind that signs")
	}
	return signer, nil
}

// signRSA signs content with an RSA private key in PEM, in base64.
func signRSA(text string, hash crypto.Hash, content []byte) (string, error) {
	key, err := privateKey(text)
	if err != nil {
		return "", err
	}
	if _, ok := key.(*rsa.PrivateKey); !ok {
		return "", errors.New("the private key is not RSA")
	}
	digest := hash.New()
	digest.Write(content)
	signature, err := key.Sign(rand.Reader, digest.Sum(nil), hash)
	if err != nil {
		return "", fmt.Errorf("sign: %w", err)
	}
	return base64.StdEncoding.EncodeToString(signature), nil
}

// judgeAge checks the age of a message whose sender prescribes no window. It does so only if the
// source sets a tolerance, or the profile names a timestamp. The limits themselves are still
// allowed.
func judgeAge(p verify.Profile, o verify.Options, at time.Time) error {
	past, future := p.Timestamp.Past, p.Timestamp.Future
	on := p.Timestamp.From != "" && !p.Timestamp.Unchecked
	if o.Tolerance != nil {
		past, future, on = *o.Tolerance, *o.Tolerance, *o.Tolerance >= 0
	}
	if !on || o.Now.IsZero() {
		return nil
	}
	if f := verify.JudgeAge(o.Now, at, past, future); f != nil {
		return f
	}
	return nil
}

// wordList splits the value of a setting that holds several words, at commas and white space.
func wordList(text string) []string {
	return slices.DeleteFunc(strings.FieldsFunc(text, func(r rune) bool {
		return r == ',' || r == ' ' || r == '\n' || r == '\t'
	}), func(word string) bool { return word == "" })
}
