package memory

// table is a map that gives its memory back. Go's maps keep the room of their largest size for
// ever, so a table that has lost three quarters of its entries is copied into a map of its size. A
// store has 256 of each kind, so that such a copy is short.
type table[K comparable, V any] struct {
	m    map[K]V
	peak int // the most entries since m was made
}

const smallTable = 64 // not worth shrinking

func (t *table[K, V]) set(k K, v V) {
	if t.m == nil {
		t.m = make(map[K]V)
	}
	t.m[k] = v
	t.peak = max(t.peak, len(t.m))
}

func (t *table[K, V]) remove(k K) {
	delete(t.m, k)
	if t.peak <= smallTable || len(t.m) > t.peak/4 {
		return
	}
	m := make(map[K]V, len(t.m))
	for k, v := range t.m {
		m[k] = v
	}
	t.m, t.peak = m, len(m)
}
