package verify

import (
	"encoding/base64"
	"encoding/hex"
	"strings"
)

// maxSignature bounds the text of one signature header: no sender comes near,
// and work for a stranger stays small.
const maxSignature = 8 << 10

// maxCandidates bounds the signatures of one request that are tried. DocuSign
// sends at most 100.
const maxCandidates = 100

// encodings of signatures.
const (
	encHex       = "hex"
	encBase64    = "base64"
	encBase64URL = "base64url"
)

// base64 decoders that refuse set trailing bits: otherwise two texts would
// decode to one signature.
func base64Decoder(encoding string) *base64.Encoding {
	if encoding == encBase64URL {
		return base64.RawURLEncoding.Strict()
	}
	return base64.StdEncoding.Strict()
}

// decodeExact decodes text into buf when it is the encoding of exactly size
// bytes. The length is checked on the text, so that no white space slips in.
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

// hexDecode is hex.Decode for a string, either case.
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

// decodeDER decodes a signature whose length varies (ASN.1).
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
