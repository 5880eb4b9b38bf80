// Package registry remembers the nodes of a store that lives in one process, and whose nodes end with
// it. A store keeps one beside its log:
//
//	var r registry.Registry
//	if err := r.Poll("name", acked); err != nil {
//		return counterfoil.Page{}, err // counterfoil.ErrFenced
//	}
//	all := r.Nodes()
package registry

import (
	"slices"
	"strings"
	"sync"

	"github.com/counterfoil/counterfoil"
)

// MaxFenced is how many fenced names are remembered. The oldest is forgotten first.
const MaxFenced = 1000

// Registry is who polls and who may not. The zero value is empty. It is safe for use by many
// goroutines.
type Registry struct {
	mu     sync.Mutex
	nodes  map[string]counterfoil.Node
	fenced []string // in the order of their fences
}

// Poll counts a beat of the node and takes its acknowledgement, or says [counterfoil.ErrFenced].
func (r *Registry) Poll(node string, acked uint64) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if slices.Contains(r.fenced, node) {
		return counterfoil.ErrFenced
	}
	n := r.nodes[node]
	n.Name = node
	n.Beat++
	n.Acked = max(n.Acked, acked)
	if r.nodes == nil {
		r.nodes = make(map[string]counterfoil.Node)
	}
	r.nodes[node] = n
	return nil
}

// Fence shuts a node out.
func (r *Registry) Fence(node string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if slices.Contains(r.fenced, node) {
		return
	}
	if n, known := r.nodes[node]; known {
		n.Fenced = true
		r.nodes[node] = n
	}
	if len(r.fenced) == MaxFenced {
		delete(r.nodes, r.fenced[0])
		r.fenced = slices.Delete(r.fenced, 0, 1)
	}
	r.fenced = append(r.fenced, node)
}

// Nodes lists who has polled, by name.
func (r *Registry) Nodes() []counterfoil.Node {
	r.mu.Lock()
	defer r.mu.Unlock()
	all := make([]counterfoil.Node, 0, len(r.nodes))
	for _, n := range r.nodes {
		all = append(all, n)
	}
	slices.SortFunc(all, func(a, b counterfoil.Node) int { return strings.Compare(a.Name, b.Name) })
	return all
}
