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

// The validity of an app's JWT. GitHub accepts at most ten minutes, and recommends an issue time a
// minute in the past, because clocks differ.
const (
	appTokenLife = 9 * time.Minute
	appTokenPast = time.Minute
)

// appToken returns a function that makes a JWT of a GitHub app for each call, as
// docs.github.com/apps describes: RS256, with the app's ID as issuer.
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

// rsaKey reads a private key from a PEM file, in PKCS #1 as GitHub hands it out or in PKCS #8.
func rsaKey(file string) (*rsa.PrivateKey, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	block, _ := pem.Decode(text)
	if block == nil {
		return nil, errors.New("it is not a PEM file; download a private key on the app's page")
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
		return nil, errors.New("its key is not an RSA key, as a GitHub app's is")
	}
	return key, nil
}
