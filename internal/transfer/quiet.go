package transfer

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/counterfoil/counterfoil"
	"github.com/counterfoil/counterfoil/internal/wait"
)

// Quiet returns when no node works on the store. A node that was stopped has left it; one that was
// killed is still on its list, and all that can be known is that it says nothing for as long as a
// living one never would. [ErrBusy].
func Quiet(ctx context.Context, s Side, c counterfoil.Clock, silence time.Duration, p Progress) error {
	if !s.Sessions.Capabilities().Shared {
		return nil // nobody but this process has it open
	}
	if rarely, ok := s.Sessions.(interface{ Silence() time.Duration }); ok {
		silence = max(silence, rarely.Silence()) // it does not write every beat
	}
	before, err := at(ctx, s)
	if err != nil {
		return err
	}
	if len(before) == 0 {
		return nil
	}
	p.tell("nodes that were not stopped; waiting whether they are silent", len(before))
	if err := wait.For(ctx, c, silence); err != nil {
		return err
	}
	after, err := at(ctx, s)
	if err != nil {
		return err
	}
	beats := map[string]uint64{}
	for _, n := range before {
		beats[n.Name] = n.Beat
	}
	var working []string
	for _, n := range after {
		if beat, known := beats[n.Name]; !known || beat != n.Beat {
			working = append(working, n.Name)
		}
	}
	if len(working) > 0 {
		return fmt.Errorf("%w: %d nodes work on %s (%s); stop them and run the same command again", ErrBusy, len(working), s.Name, strings.Join(working, ", "))
	}
	return nil
}

// at returns the nodes that may poll.
func at(ctx context.Context, s Side) ([]counterfoil.Node, error) {
	all, err := s.Sessions.Nodes(ctx)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", s.Name, err)
	}
	return slices.DeleteFunc(all, func(n counterfoil.Node) bool { return n.Fenced }), nil
}
