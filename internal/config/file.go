package config

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"
)

// FileName is the configuration file's name in the data folder.
const FileName = "counterfoil.yaml"

const maxFile = 1 << 20 // bytes

// entry is one key of the configuration file.
type entry struct {
	key  string
	line int
	text string // the value as a setter takes it
	kind Kind   // how the value was written
	bad  string // why the value cannot be one, "" if it can
}

func readFile(path string) ([]entry, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err != nil {
		return nil, err
	}
	return parseYAML(data)
}

// parseYAML reads one flat mapping. It works on the syntax tree, because there the difference
// between 30m, "30m", true and [7] still stands, and so does the line.
func parseYAML(data []byte) ([]entry, error) {
	if len(data) > maxFile {
		return nil, errors.New("is over 1 MiB, which no configuration is")
	}
	if len(bytes.TrimSpace(data)) == 0 {
		return nil, nil
	}
	file, err := parser.ParseBytes(data, 0)
	if err != nil {
		first, _, _ := strings.Cut(err.Error(), "\n")
		return nil, fmt.Errorf("is no YAML: %s", first)
	}
	var body ast.Node
	for _, doc := range file.Docs {
		if doc.Body == nil {
			continue
		}
		if body != nil {
			return nil, errors.New("has more than one document")
		}
		body = doc.Body
	}
	var pairs []*ast.MappingValueNode
	switch n := body.(type) {
	case nil, *ast.NullNode, *ast.CommentGroupNode:
		return nil, nil
	case *ast.MappingNode:
		pairs = n.Values
	case *ast.MappingValueNode:
		pairs = []*ast.MappingValueNode{n}
	default:
		return nil, errors.New("is no list of `key: value` lines")
	}
	entries := make([]entry, 0, len(pairs))
	for _, pair := range pairs {
		e := entry{key: pair.Key.String(), line: pair.Key.GetToken().Position.Line}
		if s, ok := pair.Key.(*ast.StringNode); ok {
			e.key = s.Value
		}
		e.text, e.kind, e.bad = scalar(pair.Value)
		entries = append(entries, e)
	}
	return entries, nil
}

// scalar returns a value's text and how it was written.
func scalar(n ast.Node) (text string, kind Kind, bad string) {
	switch v := n.(type) {
	case *ast.StringNode:
		return v.Value, Text, ""
	case *ast.LiteralNode:
		return strings.TrimSuffix(v.Value.Value, "\n"), Text, ""
	case *ast.BoolNode:
		return fmt.Sprint(v.Value), Switch, ""
	case *ast.IntegerNode:
		return v.GetToken().Value, Number, ""
	case *ast.SequenceNode:
		var parts []string
		for _, item := range v.Values {
			s, ok := item.(*ast.StringNode)
			if !ok {
				return "", List, "is a list of something else than text"
			}
			parts = append(parts, s.Value)
		}
		return strings.Join(parts, ","), List, ""
	case *ast.NullNode:
		return "", Text, "has no value"
	case *ast.MappingNode, *ast.MappingValueNode:
		return "", Text, "is a group of keys; settings stand on the first level"
	case *ast.FloatNode, *ast.InfinityNode, *ast.NanNode:
		return n.GetToken().Value, Number, ""
	}
	return "", Text, "is written in a way that settings do not take (anchor, alias or tag)"
}

// fits returns why a value written as kind cannot be the setting's, or "".
func (s Setting) fits(kind Kind, text string) string {
	if kind == s.Kind || kind == Text && (s.Kind == Span || s.Kind == List) {
		return ""
	}
	switch s.Kind {
	case Span:
		if kind == Number {
			return fmt.Sprintf(`%s has no unit; write a lifetime such as "30m" or "0.5d", at least 1s`, text)
		}
		return fmt.Sprintf(`%s is no lifetime; write one such as "30m" or "0.5d"`, kind)
	case Switch:
		return "must be true or false"
	case Number:
		return "must be a whole number, without quotes"
	}
	return fmt.Sprintf("must be %s, not %s", s.Kind, kind)
}
