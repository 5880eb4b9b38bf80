package operate

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/counterfoil/counterfoil"
	"github.com/counterfoil/counterfoil/audit"
)

// Node is one of those that keep an audit of the store.
type Node struct {
	Name    string     `json:"name"`    // as in DIR/node; "": the store's only one
	Here    bool       `json:"here"`    // this one
	Behind  uint64     `json:"behind"`  // changes that its audit does not have yet
	Waiting *time.Time `json:"waiting"` // since when the oldest of them waits, null: there are none
}

// Removed names the node that was struck off.
type Removed struct {
	Name string `json:"name"`
}

// lateAfter is how long a change may wait for an audit before that looks retired.
const lateAfter = time.Hour

func (o *Operations) nodes(r *http.Request) (any, error) { return o.listNodes(r.Context()) }

func (o *Operations) listNodes(ctx context.Context) ([]Node, error) {
	here, err := NodeName(o.Config)
	if err != nil {
		return nil, err
	}
	readers, err := o.Store.Readers(ctx)
	if err != nil {
		return nil, err
	}
	head, err := o.Store.Log(ctx, 0, 0)
	if err != nil {
		return nil, err
	}
	all := []Node{}
	for _, reader := range slices.Sorted(maps.Keys(readers)) {
		name, ok := nodeOf(reader)
		if !ok {
			continue
		}
		n := Node{Name: name, Here: name == here}
		if acked := readers[reader]; acked < head.Head {
			n.Behind = head.Head - acked
			page, err := o.Store.Log(ctx, max(acked, head.Floor), 1)
			if err != nil && !errors.Is(err, counterfoil.ErrGap) {
				return nil, err
			}
			if len(page.Entries) > 0 {
				n.Waiting = &page.Entries[0].Time
			}
		}
		all = append(all, n)
	}
	return all, nil
}

// nodeOf returns whose audit a reader of the log is.
func nodeOf(reader string) (name string, ok bool) {
	if reader == audit.Reader {
		return "", true
	}
	return strings.CutPrefix(reader, audit.Reader+".")
}

// removeNode strikes a node off for which the store keeps its log. Should it come back all the same, its
// audit goes on with a gap.
func (o *Operations) removeNode(r *http.Request) (any, error) {
	name := r.PathValue("name")
	all, err := o.listNodes(r.Context())
	if err != nil {
		return nil, err
	}
	i := slices.IndexFunc(all, func(n Node) bool { return n.Name == name && name != "" })
	switch {
	case i < 0:
		return nil, notFound("there is no node %s; `counterfoil node list` shows all", name)
	case all[i].Here:
		return nil, failed("this is that node: it is struck off from another, when it is gone for good")
	}
	return Removed{name}, o.Store.Forget(r.Context(), audit.Reader+"."+name)
}

// readerFindings looks for nodes whose audit holds up the trimming of the log.
func (o *Operations) readerFindings(ctx context.Context) (found []Finding) {
	const check = "store"
	all, err := o.listNodes(ctx)
	if err != nil {
		return []Finding{{check, LevelWarn, "the nodes that keep an audit cannot be listed: " + err.Error(), "see that the store answers, and ask again"}}
	}
	for _, n := range all {
		if n.Waiting == nil || o.now().Sub(*n.Waiting) < lateAfter {
			continue
		}
		fix := "see why: its log and /readyz say it"
		if !n.Here {
			fix = "start that node; if it is gone for good: counterfoil node remove " + n.Name
		}
		found = append(found, Finding{check, LevelWarn, fmt.Sprintf("the audit of node %s has not read the last %d changes, the first of %s: the log is not trimmed and grows",
			n.Name, n.Behind, n.Waiting.UTC().Format(time.RFC3339)), fix})
	}
	return found
}
