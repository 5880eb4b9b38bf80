package audit

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"

	"github.com/counterfoil/counterfoil"
)

// begin starts a chain.
func (x *Exporter) begin(first Line) error {
	x.state.chain = newChainID(x.key)
	x.state.keys = newRatchet(x.key, x.state.chain)
	x.state.tail.Chain = x.state.chain.String()
	x.state.tail.First = x.state.tail.Number + 1
	first.Time, first.Log = x.now(), clip(x.state.log, 128)
	first.Requests = clip(x.cfg.Store.Capabilities().Requests, 64)
	return x.seal(first)
}

// add puts a line at the end of the batch, in a new chain if the present one is long enough.
func (x *Exporter) add(l Line) error {
	if x.state.tail.Number-x.state.tail.First+1 >= chapter {
		if err := x.begin(Line{Kind: KindBegin, After: hex.EncodeToString(x.state.good[:])}); err != nil {
			return err
		}
	}
	return x.seal(l)
}

func (x *Exporter) seal(l Line) error {
	s := &x.state
	l.Version, l.Chain, l.Number, l.Node = Version, s.tail.Chain, s.tail.Number+1, clip(x.cfg.Node, 255)
	body, err := l.body()
	if err != nil {
		return err
	}
	sum := s.keys.next(body)
	text := seal(body, sum)
	s.good = sha256.Sum256(text[:len(text)-1])
	s.tail.Version, s.tail.Number, s.tail.MAC = Version, l.Number, sum[:]
	s.batch = append(s.batch, text...)
	return nil
}

// write makes the batch durable: first the lines, then the store's note of the last of them.
func (x *Exporter) write() error {
	s := &x.state
	if len(s.batch) == 0 {
		return nil
	}
	if _, err := s.file.Write(s.batch); err != nil {
		return fmt.Errorf("audit: free some space on the disk, or see what else is wrong with it: %w", err)
	}
	if err := s.file.Sync(); err != nil {
		return fmt.Errorf("audit: the file cannot be synced: %w", err)
	}
	s.tail.Offset += int64(len(s.batch))
	s.batch = s.batch[:0]
	return nil
}

// save tells the store what is durable in the file. It may be repeated.
func (x *Exporter) save(ctx context.Context) error {
	s, store := &x.state, x.cfg.Store
	note, err := s.tail.encode()
	if err != nil {
		return fmt.Errorf("audit: %w", err)
	}
	if string(note) != string(s.noted) {
		err := store.SwapMeta(ctx, TailKeyOf(x.cfg.Name), s.noted, note)
		if errors.Is(err, counterfoil.ErrConflict) {
			if now, e := store.Meta(ctx, TailKeyOf(x.cfg.Name)); e != nil || string(now) != string(note) {
				return errors.Join(errors.New("audit: another exporter works on this store; stop one of the two"), e)
			}
			err = nil // the answer to an earlier attempt was lost
		}
		if err != nil {
			return fmt.Errorf("audit: noting the last line in the store: %w", err)
		}
		s.noted = note
	}
	if s.read && s.tail.Seq > s.acked {
		if err := store.Acknowledge(ctx, named(Reader, x.cfg.Name), s.tail.Seq); err != nil {
			return fmt.Errorf("audit: acknowledging the store's log: %w", err)
		}
		s.acked = s.tail.Seq
	}
	return nil
}
