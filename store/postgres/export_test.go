package postgres

// The statements whose plans are tested.
const (
	ListOwn    = listOwn
	ListActing = listActing
	FindDue    = findDue
	LoadOne    = loadOne
)
