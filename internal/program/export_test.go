package program

// NameOf reads the name of the program from the path of its binary.
func NameOf(path string) string { return nameOf(path) }
