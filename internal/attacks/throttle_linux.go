package attacks

// Throttle is yet to come.
func Throttle() {}
