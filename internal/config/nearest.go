package config

import (
	"slices"
	"strings"
)

// Nearest are the known names that a mistyped one may stand for, the likeliest
// first, at most three.
func Nearest(name string, known []string) []string {
	type candidate struct {
		name string
		far  int
	}
	var found []candidate
	lower := strings.ToLower(name)
	for _, k := range known {
		far := distance(lower, strings.ToLower(k))
		if len(lower) >= 3 && (strings.HasPrefix(k, lower) || strings.HasPrefix(lower, k)) {
			far = min(far, 1)
		}
		if far <= max(1, len(k)/3) {
			found = append(found, candidate{k, far})
		}
	}
	slices.SortStableFunc(found, func(a, b candidate) int { return a.far - b.far })
	var out []string
	for _, c := range found[:min(len(found), 3)] {
		out = append(out, c.name)
	}
	return out
}

// distance is how many insertions, deletions, replacements and exchanges of two
// neighbours make b of a, no place being touched twice.
func distance(a, b string) int {
	a = a[:min(len(a), 64)]
	rows := make([][]int, len(a)+1)
	for i := range rows {
		rows[i] = make([]int, len(b)+1)
		rows[i][0] = i
	}
	for j := range rows[0] {
		rows[0][j] = j
	}
	for i := range len(a) {
		for j := range len(b) {
			far := rows[i][j]
			if a[i] != b[j] {
				far++
			}
			far = min(far, rows[i][j+1]+1, rows[i+1][j]+1)
			if i > 0 && j > 0 && a[i] == b[j-1] && a[i-1] == b[j] {
				far = min(far, rows[i-1][j-1]+1)
			}
			rows[i+1][j+1] = far
		}
	}
	return rows[len(a)][len(b)]
}
