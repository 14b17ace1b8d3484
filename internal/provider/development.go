package provider

import (
	"bytes"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"math/big"
	"os"
	"path/filepath"
	"time"

	"github.com/grapnel/grapnel/internal/verify"
)

// Development is a signing key of this machine. Some senders sign with a private key (Amazon SNS,
// PayPal, Discord), so nobody else can sign as they do. To try such a source, samples are signed
// with this key instead, and a receiver on the same machine takes them where the source says
// `development: true`. The key is random and never leaves the data directory.
type Development struct {
	rsa  *rsa.PrivateKey
	seed [sha256.Size]byte
}

// developmentFile is the key's file in the data directory.
const developmentFile = "development-key.pem"

// OpenDevelopment reads the key of a data directory, and makes one if there is none.
func OpenDevelopment(dir string) (*Development, error) {
	d, err := ReadDevelopment(dir)
	if !errors.Is(err, fs.ErrNotExist) {
		return d, err
	}
	key, err := rsa.GenerateKey(rand.Reader, rsaBits)
	if err != nil {
		return nil, fmt.Errorf("make the development key: %w", err)
	}
	pair, err := inPEM(key, &key.PublicKey)
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("keep the development key: %w", err)
	}
	// The file appears whole or not at all: another process may read it now.
	f, err := os.CreateTemp(dir, developmentFile) // Readable by its owner alone.
	if err != nil {
		return nil, fmt.Errorf("keep the development key: %w", err)
	}
	_, err = f.WriteString(pair.Signs)
	err = errors.Join(err, f.Close())
	if err == nil {
		// When two processes make a key at once, both use the first.
		if err = os.Link(f.Name(), filepath.Join(dir, developmentFile)); errors.Is(err, fs.ErrExist) {
			err = nil
		}
	}
	if err = errors.Join(err, os.Remove(f.Name())); err != nil {
		return nil, fmt.Errorf("keep the development key: %w", err)
	}
	return ReadDevelopment(dir)
}

// ReadDevelopment reads the key of a data directory. A file that other users can read is refused.
func ReadDevelopment(dir string) (*Development, error) {
	path := filepath.Join(dir, developmentFile)
	info, err := os.Stat(path)
	if err != nil {
		return nil, fmt.Errorf("read the development key: %w", err)
	}
	if info.Mode().Perm()&0o077 != 0 {
		return nil, fmt.Errorf("the development key %s can be read by others; remove it, and another is made", path)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("read the development key: %w", err)
	}
	bad := fmt.Errorf("the development key %s can't be read; remove it, and another is made", path)
	block, _ := pem.Decode(bytes.TrimSpace(text))
	if block == nil {
		return nil, bad
	}
	private, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	key, ok := private.(*rsa.PrivateKey)
	if err != nil || !ok {
		return nil, bad
	}
	return &Development{rsa: key, seed: sha256.Sum256(block.Bytes)}, nil
}

// HasOwnKey tells whether a sender signs with a private key, so that nobody who has the source's
// configuration can sign as it does.
func HasOwnKey(v *verify.Verifier) bool { return v.Traits().Public || v.Traits().Fetches }

// hasOwnKey does what HasOwnKey does for a preset, whose settings may not be given yet.
func hasOwnKey(p verify.Profile) bool {
	switch p.Algorithm {
	case "ecdsa-p256-sha256", "ed25519":
		return p.Key != "qqbot"
	}
	return signsByKey(p)
}

// Signs gives the secret with which `grapnel send` signs. own are the source's secrets: some
// senders name one of them in what they sign.
func (d *Development) Signs(p verify.Profile, own []verify.Secret) (verify.Secret, error) {
	pair, err := keyMaker{seed: d.seed, rsa: d.rsa}.pair(p)
	s := verify.Secret{Value: pair.Signs}
	if p.Algorithm == "paypal" && len(own) > 0 {
		s.KeyID = own[0].Value
	}
	return s, err
}

// Trust is what a request that may be a sample is judged by: secrets to use instead of the
// source's, and a certificate to use instead of the sender's.
type Trust struct {
	Secrets     []verify.Secret
	Certificate []byte
}

// Trust gives what verifies the samples that Signs signs.
func (d *Development) Trust(v *verify.Verifier, own []verify.Secret) (Trust, error) {
	p := v.Profile()
	if v.Traits().Fetches {
		certificate, err := d.certificate()
		return Trust{Secrets: own, Certificate: certificate}, err
	}
	pair, err := keyMaker{seed: d.seed, rsa: d.rsa}.pair(p)
	return Trust{Secrets: []verify.Secret{{Value: pair.Verifies}}}, err
}

// certificate makes a self-signed certificate of the key, with the names that senders'
// certificates have.
func (d *Development) certificate() ([]byte, error) {
	c := &x509.Certificate{
		SerialNumber: big.NewInt(1),
		Subject:      pkix.Name{CommonName: "grapnel development"},
		DNSNames: []string{
			"sns.amazonaws.com", "messageverificationcerts.paypal.com", "messageverificationcerts.sandbox.paypal.com",
		},
		NotBefore: time.Unix(0, 0), NotAfter: time.Date(2200, 1, 1, 0, 0, 0, 0, time.UTC),
	}
	der, err := x509.CreateCertificate(rand.Reader, c, c, &d.rsa.PublicKey, d.rsa)
	if err != nil {
		return nil, fmt.Errorf("make a certificate of the development key: %w", err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), nil
}
