package manager

// An Option changes how an object is made. A nil Option does nothing.
type Option func(*options)

type options struct{ name string }

// Named gives an object a name in its manager. If there is already an object with that name and the
// same kind and types, the caller gets the existing object. A named object lives as long as the
// manager, or until [Manager.Forget] removes the name.
func Named(name string) Option { return func(o *options) { o.name = name } }
