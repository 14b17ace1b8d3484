package verify

import (
	"encoding/base64"
	"encoding/hex"
	"strings"
)

// maxSignature is the most bytes of a signature header. No sender comes near, and strangers can
// cause little work.
const maxSignature = 8 << 10

// maxCandidates is the most signatures of one request that are tried. DocuSign sends up to 100.
const maxCandidates = 100

// The encodings of signatures.
const (
	encHex       = "hex"
	encBase64    = "base64"
	encBase64URL = "base64url"
)

// base64Decoder gives a decoder that refuses set trailing bits: otherwise two texts would decode
// to the same signature.
func base64Decoder(encoding string) *base64.Encoding {
	if encoding == encBase64URL {
		return base64.RawURLEncoding.Strict()
	}
	return base64.StdEncoding.Strict()
}

// decodeExact decodes text into buf if it encodes exactly size bytes. The length of the text is
// checked, so that no white space slips in.
func decodeExact(buf []byte, encoding, text string, size int) ([]byte, bool) {
	if encoding == encHex {
		if len(text) != 2*size {
			return nil, false
		}
		n, err := hexDecode(buf, text)
		return buf[:n], err
	}
	d := base64Decoder(encoding)
	if len(text) != d.EncodedLen(size) || len(buf) < d.DecodedLen(len(text)) {
		return nil, false
	}
	n, err := d.Decode(buf, append(buf[size+8:size+8], text...))
	return buf[:n], err == nil && n == size
}

// hexDecode does what hex.Decode does, for a string.
func hexDecode(dst []byte, text string) (int, bool) {
	for i := 0; i+1 < len(text); i += 2 {
		hi, lo := nibble(text[i]), nibble(text[i+1])
		if hi > 15 || lo > 15 {
			return 0, false
		}
		dst[i/2] = hi<<4 | lo
	}
	return len(text) / 2, true
}

func nibble(c byte) byte {
	switch {
	case c >= '0' && c <= '9':
		return c - '0'
	case c >= 'a' && c <= 'f':
		return c - 'a' + 10
	case c >= 'A' && c <= 'F':
		return c - 'A' + 10
	default:
		return 0xff
	}
}

// decodeDER decodes a signature in ASN.1, whose length varies.
func decodeDER(encoding, text string) ([]byte, bool) {
	const longest = 2 * 80
	if text == "" || len(text) > longest || strings.ContainsAny(text, "\r\n") {
		return nil, false
	}
	if encoding == encHex {
		b, err := hex.DecodeString(text)
		return b, err == nil
	}
	b, err := base64Decoder(encoding).DecodeString(text)
	return b, err == nil
}

func encodeSignature(encoding string, b []byte) string {
	if encoding == encHex {
		return hex.EncodeToString(b)
	}
	return base64Decoder(encoding).EncodeToString(b)
}
