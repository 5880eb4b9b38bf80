package blob

import (
	"errors"
	"fmt"
	"net/url"
	"path/filepath"
	"strings"
)

// ErrDSN says what is wrong with a DSN, without repeating it.
var ErrDSN = errors.New("blob: not the place of a store")

// Place is where a store is, as a DSN says.
type Place struct {
	Scheme string // "file", "gs", "s3" or "azblob"
	Bucket string // bucket or container; "" for file
	Path   string // folder for file, else what begins the names of all objects: "" or "…/"
	query  url.Values
}

// ParseDSN reads
//
//	file:///var/lib/counterfoil/blob
//	s3://bucket/prefix?region=eu-central-1
//	gs://bucket/prefix
//	azblob://container/prefix?account=NAME
//
// docs/blob.md has the options. [ErrDSN]
func ParseDSN(dsn string) (Place, error) {
	u, err := url.Parse(dsn)
	if err != nil || u.Opaque != "" || u.User != nil || u.Fragment != "" {
		return Place{}, fmt.Errorf("%w: write file:///path, gs://bucket/prefix, s3://bucket/prefix or azblob://container/prefix", ErrDSN)
	}
	p := Place{Scheme: u.Scheme, Bucket: u.Host, Path: strings.Trim(u.Path, "/")}
	if p.query, err = url.ParseQuery(u.RawQuery); err != nil {
		return Place{}, fmt.Errorf("%w: the options behind '?' cannot be read", ErrDSN)
	}
	known, ok := options[p.Scheme]
	if !ok {
		return Place{}, fmt.Errorf("%w: file:, gs:, s3: or azblob: must stand at its beginning", ErrDSN)
	}
	for name, values := range p.query {
		if !strings.Contains(known, " "+name+" ") || len(values) != 1 {
			return Place{}, fmt.Errorf("%w: the options of %s: are%s, each once", ErrDSN, p.Scheme, known)
		}
	}
	if p.Scheme == "file" {
		if p.Bucket != "" || p.Path == "" || strings.Contains(u.Path, "\x00") {
			return Place{}, fmt.Errorf("%w: file: needs the absolute path of a folder, such as file:///var/lib/counterfoil/blob", ErrDSN)
		}
		if p.Path = filepath.Clean("/" + filepath.FromSlash(p.Path)); p.Path == "/" {
			return Place{}, fmt.Errorf("%w: file: needs a folder of its own", ErrDSN)
		}
		return p, nil
	}
	if !validBucket(p.Bucket) {
		return Place{}, fmt.Errorf("%w: the bucket's name is missing or not of 3 to 222 lower case letters, digits, '-', '_' and '.': write %s://BUCKET/PREFIX", ErrDSN, p.Scheme)
	}
	if len(p.Path) > 500 || strings.ContainsFunc(p.Path, func(r rune) bool { return !plain(r) && r != '/' }) || strings.Contains("/"+p.Path+"/", "//") && p.Path != "" || strings.Contains("/"+p.Path+"/", "/../") || strings.Contains("/"+p.Path+"/", "/./") {
		return Place{}, fmt.Errorf("%w: a prefix is of letters, digits, '-', '_', '.' and single '/', 500 at most", ErrDSN)
	}
	if p.Path != "" {
		p.Path += "/"
	}
	return p, nil
}

// options are the names that a DSN may have behind '?'.
var options = map[string]string{
	"file":   " (none) ",
	"s3":     " region endpoint path_style ",
	"gs":     " endpoint ",
	"azblob": " account endpoint ",
}

func plain(r rune) bool {
	return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '-' || r == '_' || r == '.'
}

func validBucket(name string) bool {
	return len(name) >= 3 && len(name) <= 222 && !strings.ContainsFunc(name, func(r rune) bool { return !plain(r) || r >= 'A' && r <= 'Z' }) &&
		name[0] != '.' && name[0] != '-'
}

// String names the place without its options.
func (p Place) String() string {
	if p.Scheme == "file" {
		return (&url.URL{Scheme: "file", Path: p.Path}).String()
	}
	return p.Scheme + "://" + p.Bucket + "/" + p.Path
}

func (p Place) open(o Options) (bucket, error) {
	now, _ := o.Clock.Now()
	switch p.Scheme {
	case "file":
		return openFiles(p.Path, now)
	case "s3":
		return openS3(p, o)
	case "gs":
		return openGCS(p, o)
	default:
		return openAzure(p, o)
	}
}
