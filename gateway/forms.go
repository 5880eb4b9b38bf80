package gateway

import (
	"encoding/json"
	"errors"
	"io"
	"mime"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
	"unicode/utf8"
)

// maxForm bounds the body of a form or a JSON object of ours in bytes.
const maxForm = 16 << 10

var (
	errForm = errors.New("gateway: the body is no form or JSON object of strings with each field once")
	errKind = errors.New("gateway: the body must be application/x-www-form-urlencoded or application/json")
)

// bodyTimeout bounds how long a request's body takes to come, unless it goes to the application.
const bodyTimeout = 30 * time.Second

// awaitBody sets until when the body of a request is waited for, also by the server, which reads what a
// handler leaves; the zero time: for ever. A writer without a connection has nothing to wait for.
func awaitBody(w http.ResponseWriter, until time.Time) {
	_ = http.NewResponseController(w).SetReadDeadline(until)
}

// readFields reads the named fields of a form or of a JSON object; those that are missing are "".
// Others are passed over. *http.MaxBytesError, errKind, errForm.
func readFields(w http.ResponseWriter, r *http.Request, names ...string) (map[string]string, error) {
	kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if err != nil {
		return nil, errKind
	}
	var parse func(body []byte, names []string) (map[string]string, error)
	switch kind {
	case "application/x-www-form-urlencoded":
		parse = parseForm
	case "application/json":
		parse = parseObject
	default:
		return nil, errKind
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxForm))
	if err != nil {
		if tooLarge := (*http.MaxBytesError)(nil); errors.As(err, &tooLarge) {
			return nil, err
		}
		return nil, errForm
	}
	awaitBody(w, time.Time{})
	return parse(body, names)
}

func parseForm(body []byte, names []string) (map[string]string, error) {
	values, err := url.ParseQuery(string(body))
	if err != nil {
		return nil, errForm
	}
	fields := map[string]string{}
	for _, name := range names {
		switch v := values[name]; {
		case len(v) > 1 || len(v) == 1 && !utf8.ValidString(v[0]):
			return nil, errForm
		case len(v) == 1:
			fields[name] = v[0]
		}
	}
	return fields, nil
}

// parseObject reads {"name": "value", …} token by token, because json.Unmarshal takes the last of two
// fields of one name and does not mind their case.
func parseObject(body []byte, names []string) (map[string]string, error) {
	if !utf8.Valid(body) {
		return nil, errForm
	}
	d := json.NewDecoder(strings.NewReader(string(body)))
	if t, err := d.Token(); err != nil || t != json.Delim('{') {
		return nil, errForm
	}
	fields, seen := map[string]string{}, map[string]bool{}
	for d.More() {
		key, err := d.Token()
		if err != nil {
			return nil, errForm
		}
		value, err := d.Token()
		if err != nil {
			return nil, errForm
		}
		name, _ := key.(string)
		text, isString := value.(string)
		if !isString || seen[name] {
			return nil, errForm
		}
		seen[name] = true
		if slices.Contains(names, name) {
			fields[name] = text
		}
	}
	if _, err := d.Token(); err != nil {
		return nil, errForm
	}
	if _, err := d.Token(); err != io.EOF {
		return nil, errForm
	}
	return fields, nil
}

// fields is readFields with the answer to what went wrong; ok is false if it was given.
func (g *Gateway) fields(w http.ResponseWriter, r *http.Request, names ...string) (fields map[string]string, ok bool) {
	fields, err := readFields(w, r, names...)
	if err == nil {
		return fields, true
	}
	f := fault{status: http.StatusBadRequest, code: "bad_request", title: "This form cannot be read", text: []string{"It must hold each field once, as a form or as a JSON object of strings."}}
	tooLarge := (*http.MaxBytesError)(nil)
	switch {
	case errors.As(err, &tooLarge):
		f.status, f.code, f.title, f.text = http.StatusRequestEntityTooLarge, "too_large", "This is too much", []string{"The form is larger than 16 KiB."}
	case errors.Is(err, errKind):
		f.status, f.code = http.StatusUnsupportedMediaType, "unsupported_media_type"
	}
	g.fail(w, r, f)
	return nil, false
}
