package sub

// This file does not parse: its lines count, its functions do not.
func whole() {}

func broken( {
