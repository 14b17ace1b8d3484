package coded_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/grapnel/grapnel/internal/verify"
	"github.com/grapnel/grapnel/internal/verify/coded"
)

// adyenItem is an item of a notification, unsigned.
func adyenItem(psp string) string {
	return `{"NotificationRequestItem":{"pspReference":"` + psp + `","merchantAccountCode":"M","merchantReference":"r",` +
		`"amount":{"value":1000,"currency":"EUR"},"eventCode":"AUTHORISATION","success":"true","additionalData":{"a":"b"}}}`
}

// adyenBody is a notification.
func adyenBody(items ...string) string {
	return `{"live":"false","notificationItems":[` + strings.Join(items, ",") + `]}`
}

// TestAdyenItems judges notifications: every item must be good.
func TestAdyenItems(t *testing.T) {
	const key = "DFB1EB5485895CFA84146406857104ABB4CBCABDC8AAF103A624C8F6A3EAAB00"
	checker, err := coded.NewTestCoded(verify.Profile{Algorithm: "adyen"})
	require.NoError(t, err)
	signed, err := checker.(verify.CodedSigner).Sign(
		codedRequest("", adyenBody(adyenItem("one"))), verify.Secret{Value: key}, codedNow)
	require.NoError(t, err)
	good := string(signed.Body)
	_, item, found := strings.Cut(good, `"notificationItems":[`)
	require.True(t, found)
	item, _, _ = strings.Cut(item, "]")
	for _, test := range []struct {
		name, body, key string
		want            verify.Reason
	}{
		{"a good item", good, key, ""},
		{"the item changed", strings.Replace(good, `"one"`, `"1"`, 1), key, verify.SignatureMismatch},
		{"the item twice", strings.Replace(good, `"notificationItems":[`, `"notificationItems":[`+item+`,`, 1), key, ""},
		{"a good item and a changed one", strings.Replace(good, `"notificationItems":[`, `"notificationItems":[`+item+`,`+strings.Replace(item, `"one"`, `"1"`, 1)+`,`, 1), key, verify.SignatureMismatch},
		{"a colon between two fields moved", strings.NewReplacer(`"one"`, `"one:"`, `"M"`, `""`).Replace(good), key, verify.MalformedSignature},
		{"an unsigned item added", strings.Replace(good, `"notificationItems":[`, `"notificationItems":[`+adyenItem("three")+",", 1), key, verify.MissingSignature},
		{"a second list under another case", strings.Replace(good, `{"live"`, `{"NotificationItems":[],"live"`, 1), key, verify.MissingSignature},
		{"an amount twice", strings.Replace(good, `"amount":`, `"amount":{"value":1,"currency":"EUR"},"amount":`, 1), key, verify.MissingSignature},
		{"an amount in another case", strings.Replace(good, `"amount":`, `"Amount":{"value":1,"currency":"EUR"},"amount":`, 1), key, verify.MissingSignature},
		{"no items", adyenBody(), key, verify.MissingSignature},
		{"an item that is none", adyenBody("1"), key, verify.MissingSignature},
		{"no JSON", "x", key, verify.MissingSignature},
		{"another key", good, strings.Repeat("00", 32), verify.SignatureMismatch},
		{"a key that is not hex", good, "text", verify.EmptySecret},
		{"an empty key", good, "", verify.EmptySecret},
	} {
		t.Run(test.name, func(t *testing.T) {
			requireReason(t, test.want, checker.Verify(codedRequest("", test.body), secretsOf(test.key), verify.Options{}))
		})
	}
}
