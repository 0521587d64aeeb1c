package manager

// An Option is one for the making of an object. A nil one changes nothing.
type Option func(*options)

type options struct{ name string }

// Named makes an object known by a name in its manager: who makes one of that name, of the same
// kind and types, gets the object that is there. It lives as long as the manager, or until
// [Manager.Forget].
func Named(name string) Option { return func(o *options) { o.name = name } }
