package coded

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/grapnel/grapnel/internal/verify"
)

// adyen verifies Adyen's payment notifications: each item of the body carries an HMAC-SHA256 over
// eight of its fields, and is an event of its own. So a stranger who puts captured items
// together, or takes them apart, makes no new event.
// https://docs.adyen.com/development-resources/webhooks/verify-hmac-signatures/
type adyen struct{}

func adyenTraits(verify.Profile) verify.Traits {
	return verify.Traits{Signs: "eight fields of the item", SignsItems: true}
}

// newAdyen makes the verifier of the algorithm adyen.
func newAdyen(verify.Profile) (verify.Coded, error) { return adyen{}, nil }

// Verify implements verify.Coded. The secrets are hex.
func (a adyen) Verify(r *verify.Request, secrets []verify.Secret, o verify.Options) error {
	texts, err := activeKeys(secrets, o)
	if err != nil {
		return err
	}
	keys := make([][]byte, 0, len(texts))
	for _, text := range texts {
		key, err := hex.DecodeString(text)
		if err != nil {
			return verify.Refuse(verify.EmptySecret, "a secret of the source is not hex")
		}
		keys = append(keys, key)
	}
	items, err := adyenItems(r.Body)
	for _, item := range items {
		if err == nil {
			err = verifyAdyenItem(item, keys)
		}
	}
	return err
}

// Covers implements verify.Coded: the eight fields, of every item.
func (a adyen) Covers(kind, name string) bool {
	_, field, ok := strings.Cut(name, "].NotificationRequestItem.")
	return ok && kind == "body" && slices.Contains(adyenFields(), field)
}

// Content implements verify.Coded, of a body with one item.
func (a adyen) Content(r *verify.Request) ([]byte, error) {
	item, err := adyenItem(r.Body)
	if err != nil {
		return nil, err
	}
	return []byte(adyenContent(item)), nil
}

// Sign implements verify.CodedSigner: it puts a signature into the body.
func (a adyen) Sign(r *verify.Request, s verify.Secret, _ time.Time) (verify.Additions, error) {
	item, err := adyenItem(r.Body)
	if err != nil {
		return verify.Additions{}, err
	}
	key, err := hex.DecodeString(s.Value)
	if err != nil {
		return verify.Additions{}, verify.Refuse(verify.EmptySecret, "the secret is not hex")
	}
	data, _ := item["additionalData"].(map[string]any)
	if data == nil {
		data = map[string]any{}
	}
	data["hmacSignature"] = base64.StdEncoding.EncodeToString(adyenMAC(key, item))
	item["additionalData"] = data
	wrapped := []any{map[string]any{"NotificationRequestItem": item}}
	body, err := json.Marshal(map[string]any{"live": "false", "notificationItems": wrapped})
	return verify.Additions{Body: body}, err
}

// CheckSecret implements verify.CodedSecrets.
func (a adyen) CheckSecret(text string) error {
	if key, err := hex.DecodeString(text); err != nil || len(key) == 0 {
		return errors.New("the HMAC key is not hex; copy it again from the Customer Area, whole")
	}
	return nil
}

// adyenFields gives the signed fields in their order.
func adyenFields() []string {
	return []string{
		"pspReference", "originalReference", "merchantAccountCode", "merchantReference",
		"amount.value", "amount.currency", "eventCode", "success",
	}
}

// adyenItems returns the items of a notification, at least one.
func adyenItems(body []byte) ([]map[string]any, error) {
	object, err := strictObject(body, []string{"notificationItems"}, nil, []string{"NotificationRequestItem"},
		append(adyenFields(), "amount", "additionalData"), []string{"value", "currency", "hmacSignature"})
	if err != nil {
		return nil, verify.Refuse(verify.MissingSignature, "the body is not an unambiguous JSON object")
	}
	list, _ := object["notificationItems"].([]any)
	items := make([]map[string]any, len(list))
	for i, entry := range list {
		wrapper, _ := entry.(map[string]any)
		if items[i], _ = wrapper["NotificationRequestItem"].(map[string]any); items[i] == nil {
			return nil, verify.Refuse(verify.MissingSignature, "an entry of the body is no notification item")
		}
	}
	if len(items) == 0 {
		return nil, verify.Refuse(verify.MissingSignature, "the body holds no notification item")
	}
	return items, nil
}

// adyenItem returns the one item of a body.
func adyenItem(body []byte) (map[string]any, error) {
	items, err := adyenItems(body)
	if err != nil {
		return nil, err
	}
	if len(items) > 1 {
		return nil, verify.Refuse(verify.MissingSignature, "the body holds more than one notification item")
	}
	return items[0], nil
}

// adyenValues gives the values of an item's signed fields in their order; an absent one is empty.
func adyenValues(item map[string]any) []string {
	amount, _ := item["amount"].(map[string]any)
	values := make([]string, 0, len(adyenFields()))
	for _, name := range adyenFields() {
		if inner, ok := strings.CutPrefix(name, "amount."); ok {
			values = append(values, claimText(amount[inner]))
			continue
		}
		values = append(values, claimText(item[name]))
	}
	return values
}

// colonShiftable reports whether a field holds a colon that could be taken for one between the
// fields. Only the merchant's reference may hold colons: it can still be told from the fields
// before and behind it.
func colonShiftable(item map[string]any) bool {
	for i, value := range adyenValues(item) {
		if adyenFields()[i] != "merchantReference" && strings.Contains(value, ":") {
			return true
		}
	}
	return false
}

// adyenContent gives the signed text of an item: the fields with colons between them.
func adyenContent(item map[string]any) string { return strings.Join(adyenValues(item), ":") }

// adyenMAC gives the HMAC-SHA256 of an item's signed text.
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
		return verify.Refuse(verify.MissingSignature, "a notification item has no hmacSignature")
	}
	signature, err := decodeStrict(text)
	if err != nil || len(signature) != sha256.Size {
		return verify.Refuse(verify.MalformedSignature, "an hmacSignature is not base64 of 32 bytes")
	}
	if colonShiftable(item) {
		return verify.Refuse(verify.MalformedSignature, "a signed field holds a colon, which could move to the next one")
	}
	for _, key := range keys {
		if hmac.Equal(signature, adyenMAC(key, item)) {
			return nil
		}
	}
	return verify.Refuse(verify.SignatureMismatch, "an item's hmacSignature does not fit it")
}
