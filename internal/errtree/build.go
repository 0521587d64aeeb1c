package errtree

// maxCost is how many bytes one call of a rebuilt error's Error method may produce, including its
// calls of the Error methods of the errors below it.
const maxCost = 8 << 20

// A built is an error that has arrived.
type built struct {
	err     error
	rebuilt bool // it has a registered type, whose Error method may call the Error methods below
	cost    int  // of a call of Error, in bytes
}

func (n *node) build() built {
	if n.Sentinel != "" {
		if err := sentinels.byName(n.Sentinel); err != nil {
			return built{err: err}
		}
	}

	kids := make([]built, len(n.Kids))
	errs := make([]error, len(n.Kids))
	for i := range n.Kids {
		kids[i] = n.Kids[i].build()
		errs[i] = kids[i].err
	}

	holds, self := types.decode(n, errs)
	leads := self != nil && wrapsItself(self)
	if self != nil && (len(errs) == 0 || leads) {
		if cost, ok := n.says(self, holds, kids); ok {
			return built{self, true, cost}
		}
	}
	if holds && leads {
		errs = nil // self leads to them; listing them twice at each level would be exponential
	}
	return built{err: &Remote{text: n.Text, goType: n.GoType, self: self, kids: errs}, cost: len(n.Text)}
}

// says reports whether a rebuilt error has the text of the original, and what a call of its Error
// method costs.
//
// The Error method of an error that wraps another error usually calls the wrapped error's method.
// Calling Error at each level of a chain would therefore take quadratic time, or exponential time
// if a method calls the wrapped error's method twice. Instead, says calls Error of a twin, which
// wraps a stand-in, and counts the calls of the stand-in's method.
func (n *node) says(self error, holds bool, kids []built) (cost int, ok bool) {
	if !holds || len(kids) == 0 || !kids[0].rebuilt {
		text, ok := textOf(self)
		return len(text), ok && text == n.Text
	}
	s := &standIn{err: kids[0].err, text: n.Kids[0].Text}
	_, twin := types.decode(n, []error{s})
	if twin == nil {
		return 0, false
	}
	s.calls = 0 // forget calls made while the twin was decoded
	text, ok := textOf(twin)
	cost = len(text) + s.calls*kids[0].cost
	return cost, ok && text == n.Text && cost <= maxCost
}

// A standIn replaces an error whose text is known.
type standIn struct {
	err   error
	text  string
	calls int
}

// Error returns the text of the replaced error.
func (s *standIn) Error() string {
	s.calls++
	return s.text
}

// Unwrap returns the replaced error, for errors.Is and errors.As.
func (s *standIn) Unwrap() error { return s.err }

// wrapsItself reports whether a rebuilt error already leads to the error that it wraps.
func wrapsItself(err error) (wraps bool) {
	defer func() { _ = recover() }() // the user's Unwrap may panic
	u, ok := err.(interface{ Unwrap() error })
	return ok && u.Unwrap() != nil
}
