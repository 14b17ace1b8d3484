package sweep

import (
	"crypto/rsa"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/go-jose/go-jose/v4"
)

// How long a JWT of an app is good for: GitHub takes ten minutes at most, and wants
// it issued a little in the past, for clocks that differ.
const (
	appTokenLife = 9 * time.Minute
	appTokenPast = time.Minute
)

// appToken gives JWTs of a GitHub app, each made for its call, as
// docs.github.com/apps has them: RS256, the app's ID as issuer.
func appToken(id, keyFile string) (func() (string, error), error) {
	key, err := rsaKey(keyFile)
	if err != nil {
		return nil, fmt.Errorf("GITHUB_APP_KEY_FILE: %w", err)
	}
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.RS256, Key: key}, (&jose.SignerOptions{}).WithType("JWT"))
	if err != nil {
		return nil, fmt.Errorf("GITHUB_APP_KEY_FILE: %w", err)
	}
	return func() (string, error) {
		now := time.Now()
		claims, err := json.Marshal(map[string]any{
			"iat": now.Add(-appTokenPast).Unix(), "exp": now.Add(appTokenLife).Unix(), "iss": id,
		})
		if err != nil {
			return "", fmt.Errorf("write the app's token: %w", err)
		}
		signed, err := signer.Sign(claims)
		if err != nil {
			return "", fmt.Errorf("sign the app's token: %w", err)
		}
		return signed.CompactSerialize()
	}, nil
}

// rsaKey reads a private key as GitHub hands it out, or in PKCS #8.
func rsaKey(file string) (*rsa.PrivateKey, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	block, _ := pem.Decode(text)
	if block == nil {
		return nil, errors.New("it is no PEM file; download a private key on the app's page")
	}
	if key, err := x509.ParsePKCS1PrivateKey(block.Bytes); err == nil {
		return key, nil
	}
	parsed, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return nil, fmt.Errorf("it holds no private key: %w", err)
	}
	key, ok := parsed.(*rsa.PrivateKey)
	if !ok {
		return nil, errors.New("it holds no RSA key, which a GitHub app has")
	}
	return key, nil
}
