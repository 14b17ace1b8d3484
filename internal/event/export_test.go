package event

// Stringify writes the chosen fields of a body; ok is false for one that is no JSON too.
func Stringify(body []byte, fields []Field) (text string, ok bool) {
	d, root, ok := parseJSON(body)
	if !ok {
		return "", false
	}
	return d.stringify(root, fields)
}
