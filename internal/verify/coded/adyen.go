package coded

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"slices"
	"strings"
	"time"

	"github.com/grapnel/grapnel/internal/verify"
)

// maxAdyenItems bounds the items of one notification.
const maxAdyenItems = 100

// adyen verifies Adyen's payment notifications: each item of the body carries an HMAC-SHA256 over
// eight of its fields, and all of them must be good.
// https://docs.adyen.com/development-resources/webhooks/verify-hmac-signatures/
type adyen struct{}

func adyenTraits(verify.Profile) verify.Traits {
	return verify.Traits{Signs: "eight fields of each item"}
}

// newAdyen makes the verifier of the algorithm adyen.
func newAdyen(verify.Profile) (verify.Coded, error) { return adyen{}, nil }

// Verify implements Coded. The secrets are hex.
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
func (a adyen) Covers(kind, name string) bool {
	_, field, ok := strings.Cut(name, "].NotificationRequestItem.")
	return ok && kind == "body" && slices.Contains(adyenFields(), field)
}

// Content implements CodedContent: the signed text of each item, one a line.
func (a adyen) Content(r *verify.Request) ([]byte, error) {
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
func (a adyen) Sign(r *verify.Request, s verify.Secret, _ time.Time) (verify.Additions, error) {
	items, err := adyenItems(r.Body)
	if err != nil {
		return verify.Additions{}, err
	}
	key, err := hex.DecodeString(s.Value)
	if err != nil {
		return verify.Additions{}, verify.Refuse(verify.EmptySecret, "the secret is not hex")
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
	return verify.Additions{Body: body}, err
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
		return nil, verify.Refuse(verify.MissingSignature, "the body is not an unambiguous JSON object")
	}
	list, _ := object["notificationItems"].([]any)
	if len(list) == 0 || len(list) > maxAdyenItems {
		return nil, verify.Refuse(verify.MissingSignature, "the body holds no notification items, or too many")
	}
	items := make([]map[string]any, 0, len(list))
	for _, one := range list {
		wrapper, _ := one.(map[string]any)
		item, ok := wrapper["NotificationRequestItem"].(map[string]any)
		if !ok {
			return nil, verify.Refuse(verify.MissingSignature, "an entry of the body is no notification item")
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
		return verify.Refuse(verify.MissingSignature, "a notification item has no hmacSignature")
	}
	signature, err := decodeStrict(text)
	if err != nil || len(signature) != sha256.Size {
		return verify.Refuse(verify.MalformedSignature, "an hmacSignature is not base64 of 32 bytes")
	}
	for _, key := range keys {
		if hmac.Equal(signature, adyenMAC(key, item)) {
			return nil
		}
	}
	return verify.Refuse(verify.SignatureMismatch, "an item's hmacSignature does not fit it")
}
