package postgres

// The statements whose plans are tested.
const (
	ListOwn     = listOwn
	ListActing  = listActing
	FindExpired = findExpired
	LoadOne     = loadOne
)
