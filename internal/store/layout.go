package store

// Operations are all that a request can ask for. A test that attacks every
// operation learns of a new one here.
func Operations() (all []Op) {
	for i := range operations {
		if operations[i].f != nil {
			all = append(all, Op(i))
		}
	}
	return all
}
