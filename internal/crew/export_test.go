//go:build linux

package crew

// BeforeGreeting has f called before each worker is greeted, until it is called back.
func BeforeGreeting(f func()) (back func()) {
	before := greeting
	greeting = f
	return func() { greeting = before }
}
