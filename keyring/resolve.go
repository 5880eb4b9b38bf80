package keyring

// SourceKind says where a ring came from.
type SourceKind string

const (
	SourceMemory SourceKind = "memory" // made by Generate or FromKey, kept nowhere
)

// Source says where a ring came from.
type Source struct {
	Kind SourceKind
	Path string // of the file, if it came from one
}
