package manager

// An Option changes how an object is made. A nil Option does nothing.
type Option func(*options)

type options struct{ name string }

// Named gives an object a name in its manager. A caller that makes an object with the name of an
// existing one, of the same kind and types, gets the existing object. A named object lives as long
// as the manager, or until [Manager.Forget].
func Named(name string) Option { return func(o *options) { o.name = name } }
