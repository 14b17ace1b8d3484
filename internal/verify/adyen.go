package verify

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"slices"
	"strings"
	"time"
)

// maxAdyenItems bounds the items of one notification.
const maxAdyenItems = 100

// adyen verifies Adyen's payment notifications: each item of the body carries an HMAC-SHA256 over
// eight of its fields, and all of them must be good.
// https://docs.adyen.com/development-resources/webhooks/verify-hmac-signatures/
type adyen struct{}

// newAdyen makes the verifier of the algorithm adyen.
func newAdyen(Profile) (Coded, error) { return adyen{}, nil }

// Verify implements Coded. The secrets are hex.
func (a adyen) Verify(r *Request, secrets []Secret, o Options) error {
	texts, err := codedKeys(secrets, o)
	if err != nil {
		return err
	}
	keys := make([][]byte, 0, len(texts))
	for _, text := range texts {
		key, err := hex.DecodeString(text)
		if err != nil {
			return codedFailure(EmptySecret, "A secret of the source is not hex.")
		}
		keys = append(keys, key)
	}
	items, err := adyenItems(r.Body)
	if err != nil {
		return err
	}
	for _, item := range items {
		if err := verifyAdyenItem(item, keys); err != nil {
			return err
		}
	}
	return nil
}

// Covers implements CodedCover: the eight fields, of every item.
func (a adyen) Covers(source string) bool {
	return codedCovers(source, func(kind, name string) bool {
		_, field, ok := strings.Cut(name, "].NotificationRequestItem.")
		return ok && kind == "body" && slices.Contains(adyenFields(), field)
	})
}

// Content implements CodedContent: the signed text of each item, one a line.
func (a adyen) Content(r *Request) ([]byte, error) {
	items, err := adyenItems(r.Body)
	if err != nil {
		return nil, err
	}
	var lines []string
	for _, item := range items {
		lines = append(lines, adyenContent(item))
	}
	return []byte(strings.Join(lines, "\n")), nil
}

// Sign implements CodedSigner: it puts a signature into every item of the body.
func (a adyen) Sign(r *Request, s Secret, _ time.Time) (Additions, error) {
	items, err := adyenItems(r.Body)
	if err != nil {
		return Additions{}, err
	}
	key, err := hex.DecodeString(s.Value)
	if err != nil {
		return Additions{}, codedFailure(EmptySecret, "The secret is not hex.")
	}
	wrapped := make([]any, 0, len(items))
	for _, item := range items {
		data, _ := item["additionalData"].(map[string]any)
		if data == nil {
			data = map[string]any{}
		}
		data["hmacSignature"] = base64.StdEncoding.EncodeToString(adyenMAC(key, item))
		item["additionalData"] = data
		wrapped = append(wrapped, map[string]any{"NotificationRequestItem": item})
	}
	body, err := json.Marshal(map[string]any{"live": "false", "notificationItems": wrapped})
	return Additions{Body: body}, err
}

// adyenFields are the signed fields in their order.
func adyenFields() []string {
	return []string{
		"pspReference", "originalReference", "merchantAccountCode", "merchantReference",
		"amount.value", "amount.currency", "eventCode", "success",
	}
}

// adyenItems returns the items of a notification.
func adyenItems(body []byte) ([]map[string]any, error) {
	object, err := strictObject(body, []string{"notificationItems"}, nil, []string{"NotificationRequestItem"},
		append(adyenFields(), "amount", "additionalData"), []string{"value", "currency", "hmacSignature"})
	if err != nil {
		return nil, codedFailure(MissingSignature, "The body is not an unambiguous JSON object.")
	}
	list, _ := object["notificationItems"].([]any)
	if len(list) == 0 || len(list) > maxAdyenItems {
		return nil, codedFailure(MissingSignature, "The body holds no notification items, or too many.")
	}
	items := make([]map[string]any, 0, len(list))
	for _, one := range list {
		wrapper, _ := one.(map[string]any)
		item, ok := wrapper["NotificationRequestItem"].(map[string]any)
		if !ok {
			return nil, codedFailure(MissingSignature, "An entry of the body is no notification item.")
		}
		items = append(items, item)
	}
	return items, nil
}

// adyenContent is the signed text of an item: the fields with a colon between; an absent one is empty.
func adyenContent(item map[string]any) string {
	amount, _ := item["amount"].(map[string]any)
	var parts []string
	for _, name := range adyenFields() {
		if inner, ok := strings.CutPrefix(name, "amount."); ok {
			parts = append(parts, claimText(amount[inner]))
			continue
		}
		parts = append(parts, claimText(item[name]))
	}
	return strings.Join(parts, ":")
}

// adyenMAC is the HMAC-SHA256 of an item's signed text.
func adyenMAC(key []byte, item map[string]any) []byte {
	mac := hmac.New(sha256.New, key)
	mac.Write([]byte(adyenContent(item)))
	return mac.Sum(nil)
}

// verifyAdyenItem checks the signature of one item.
func verifyAdyenItem(item map[string]any, keys [][]byte) error {
	data, _ := item["additionalData"].(map[string]any)
	text, _ := data["hmacSignature"].(string)
	if text == "" {
		return codedFailure(MissingSignature, "A notification item has no hmacSignature.")
	}
	signature, err := decodeStrict(text)
	if err != nil || len(signature) != sha256.Size {
		return codedFailure(MalformedSignature, "An hmacSignature is not base64 of 32 bytes.")
	}
	for _, key := range keys {
		if hmac.Equal(signature, adyenMAC(key, item)) {
			return nil
		}
	}
	return codedFailure(SignatureMismatch, "An item's hmacSignature does not fit it.")
}
