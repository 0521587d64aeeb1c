package segments

// A table is a map that releases memory when it becomes much smaller, which Go's maps do not.
// Without that, a client could fill and empty one map after another, and their memory would remain
// in use without being counted. The zero value is an empty table.
type table[K comparable, V any] struct {
	m    map[K]V
	most int // maximum length since m was made
}

// smallTable is the length up to which a table is not worth rebuilding.
const smallTable = 64

func (t *table[K, V]) put(k K, v V) {
	if t.m == nil {
		t.m = map[K]V{}
	}
	t.m[k] = v
	t.most = max(t.most, len(t.m))
}

// drop removes an entry. A range over t.m in progress may still yield entries that are dropped
// later.
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

// any returns some entry of the table, which must not be empty.
func (t *table[K, V]) any() (k K, v V) {
	for k, v = range t.m {
		break
	}
	return k, v
}
