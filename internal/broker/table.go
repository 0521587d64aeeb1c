package broker

// A table is a map that gives memory back when it has become much smaller, which Go's maps do not: a client
// could otherwise fill and empty one map after the other, and nothing that is counted would remain. The zero
// value is an empty table.
type table[K comparable, V any] struct {
	m    map[K]V
	most int // since m was made
}

// smallTable is the size of a table that is not worth being made again.
const smallTable = 64

func (t *table[K, V]) put(k K, v V) {
	if t.m == nil {
		t.m = map[K]V{}
	}
	t.m[k] = v
	t.most = max(t.most, len(t.m))
}

// drop removes an entry. A range over t.m that is under way may still yield entries that were dropped later.
func (t *table[K, V]) drop(k K) {
	delete(t.m, k)
	if t.most <= smallTable || len(t.m) > t.most/4 {
		return
	}
	m := make(map[K]V, len(t.m))
	for k, v := range t.m {
		m[k] = v
	}
	t.m, t.most = m, len(m)
}

// any returns one of the entries of a table that has some.
func (t *table[K, V]) any() (k K, v V) {
	for k, v = range t.m {
		break
	}
	return k, v
}
