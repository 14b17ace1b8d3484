package provider

// LoadError is why the embedded presets can't be read, or nil.
func LoadError() error { return loadPresets().err }
