package deadletter

import "strings"

// quote writes a value for a query of Temporal's list.
func quote(s string) string {
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(s) + `"`
}
