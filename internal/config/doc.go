// Package config reads grapnel.yaml and the environment. Both are taken in the
// order defaults, decode, validate, and every fault is reported at once, with
// the place it stands at and a sentence that says what to do. A secret is never
// printed, neither in a fault nor by any formatting of the result.
package config
