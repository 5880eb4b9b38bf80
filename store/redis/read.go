package redis

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"iter"
	"strconv"
	"time"

	"github.com/redis/rueidis"

	"github.com/counterfoil/counterfoil"
)

// Load implements [counterfoil.Store].
func (s *Store) Load(ctx context.Context, id counterfoil.ID) (*counterfoil.Record, error) {
	found, err := s.load(ctx, []string{string(id[:])})
	if err != nil {
		return nil, err
	}
	if len(found) == 0 {
		return nil, counterfoil.ErrNotFound
	}
	return found[0], nil
}

// load returns those of the records that there are. GETEX without an option reads like GET and changes
// nothing, but it counts as a write: a server that has become a replica, or was cut off from its own
// ones, refuses it instead of answering with the past. The generation is read last, so that it was in
// force when the records were read.
func (s *Store) load(ctx context.Context, ids []string) ([]*counterfoil.Record, error) {
	for {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		generation := s.generation.Load().(string)
		reads := make([]rueidis.Completed, 0, len(ids)+1)
		for _, id := range ids {
			reads = append(reads, s.client.B().Getex().Key(s.keys[0]+generation+":r:"+id).Build())
		}
		reads = append(reads, s.client.B().Getex().Key(s.keys[0]+"gen").Build())
		got := s.client.DoMulti(ctx, reads...)
		now, err := got[len(ids)].ToString()
		if rueidis.IsRedisNil(err) {
			now, err = firstGeneration, nil
		}
		if err != nil {
			return nil, plain(err)
		}
		if now == generation {
			return records(ids, func(i int) (string, error) { return got[i].ToString() })
		}
		s.generation.Store(now)
	}
}

// records reads what was answered for each of the sessions, those that there are.
func records(ids []string, answer func(i int) (string, error)) ([]*counterfoil.Record, error) {
	out := make([]*counterfoil.Record, 0, len(ids))
	for i, id := range ids {
		text, err := answer(i)
		if rueidis.IsRedisNil(err) {
			continue
		}
		if err != nil {
			return nil, plain(err)
		}
		r, err := parseRecord(counterfoil.ID([]byte(id)), text)
		if err != nil {
			return nil, err
		}
		out = append(out, r)
	}
	return out, nil
}

// named reads the IDs that a script lists.
func named(list answer) ([]string, error) {
	ids := make([]string, len(list.parts))
	for i := range ids {
		if ids[i] = list.text(i); len(ids[i]) != 16 {
			list.fault(fmt.Errorf("%w (an ID of %d bytes)", ErrDamaged, len(ids[i])))
		}
	}
	return ids, list.err
}

// List implements [counterfoil.Store]. Up to 100 sessions take one round trip.
func (s *Store) List(ctx context.Context, subject counterfoil.SubjectHash) iter.Seq2[*counterfoil.Record, error] {
	return func(yield func(*counterfoil.Record, error) bool) {
		ids, found, err := s.listed(ctx, subject)
		for err == nil {
			for _, r := range found {
				if !yield(r, nil) {
					return
				}
			}
			if len(ids) == 0 {
				return
			}
			n := min(piece, len(ids))
			found, err = s.load(ctx, ids[:n])
			ids = ids[n:]
		}
		yield(nil, err)
	}
}

// listed returns the first sessions of a subject and the IDs of the others.
func (s *Store) listed(ctx context.Context, subject counterfoil.SubjectHash) (rest []string, first []*counterfoil.Record, err error) {
	got, err := s.call(ctx, "list", args{}.bytes(subject[:]).int(piece))
	if err != nil {
		return nil, nil, err
	}
	ids, err := named(got.array(1))
	values := got.array(2)
	if err = errors.Join(err, got.err, values.err); err != nil {
		return nil, nil, err
	}
	if len(values.parts) > len(ids) {
		return nil, nil, fmt.Errorf("%w (%d sessions listed, %d read)", ErrDamaged, len(ids), len(values.parts))
	}
	first, err = records(ids[:len(values.parts)], func(i int) (string, error) { return values.parts[i].ToString() })
	return ids[len(values.parts):], first, err
}

// Scan implements [counterfoil.Store].
func (s *Store) Scan(ctx context.Context, after counterfoil.ID, max int) ([]*counterfoil.Record, error) {
	var out []*counterfoil.Record
	for from := string(after[:]); len(out) < max; {
		n := min(piece, max-len(out))
		got, err := s.call(ctx, "scan", args{}.text(from).int(int64(n)))
		if err != nil {
			return nil, err
		}
		ids, err := named(got.array(1))
		if err = errors.Join(err, got.err); err != nil {
			return nil, err
		}
		found, err := s.load(ctx, ids)
		if err != nil {
			return nil, err
		}
		out = append(out, found...)
		if len(ids) < n {
			break
		}
		from = ids[n-1]
	}
	return out, nil
}

// Log implements [counterfoil.Store].
func (s *Store) Log(ctx context.Context, since uint64, max int) (counterfoil.Page, error) {
	got, err := s.call(ctx, "log", args{}.number(since).int(int64(max)))
	if err != nil {
		return counterfoil.Page{}, err
	}
	return readPage(got)
}

// Poll implements [counterfoil.Store]. It writes, so that a server that can no longer be written to
// renews no lease.
func (s *Store) Poll(ctx context.Context, p counterfoil.Poll) (counterfoil.Page, error) {
	got, err := s.callOver(ctx, shared{s.client.Client}, "poll", args{}.text(p.Node).number(p.Since).number(p.Acked).int(int64(p.Max)))
	if err != nil {
		return counterfoil.Page{}, err
	}
	return readPage(got)
}

// Nodes implements [counterfoil.Store].
func (s *Store) Nodes(ctx context.Context) ([]counterfoil.Node, error) {
	got, err := s.call(ctx, "nodes", nil)
	if err != nil {
		return nil, err
	}
	var all []counterfoil.Node
	for i := 1; i < len(got.parts); i += 4 {
		all = append(all, counterfoil.Node{Name: got.text(i), Acked: got.number(i + 1), Beat: got.number(i + 2), Fenced: got.number(i+3) != 0})
	}
	return all, got.err
}

// Fence implements [counterfoil.Store].
func (s *Store) Fence(ctx context.Context, node string) error {
	_, err := s.call(ctx, "fence", args{}.text(node))
	return err
}

func readPage(got answer) (counterfoil.Page, error) {
	part := got.array(1)
	p := counterfoil.Page{Incarnation: part.text(0), Head: part.number(1), Floor: part.number(2), Now: time.UnixMicro(int64(part.number(4))).UTC()}
	gap := part.number(3) != 0
	if err := errors.Join(got.err, part.err); err != nil {
		return counterfoil.Page{}, err
	}
	if gap {
		return p, counterfoil.ErrGap
	}
	if len(part.parts) < 6 {
		return p, nil
	}
	list := part.array(5)
	for i := range list.parts {
		pair := list.array(i)
		fields := pair.array(1)
		texts := make([]string, len(fields.parts))
		for j := range texts {
			texts[j] = fields.text(j)
		}
		e, err := parseEntry(pair.text(0), texts)
		if err = errors.Join(err, pair.err, fields.err); err != nil {
			return counterfoil.Page{}, err
		}
		p.Entries = append(p.Entries, e)
	}
	return p, errors.Join(part.err, list.err)
}

// Acknowledge implements [counterfoil.Store].
func (s *Store) Acknowledge(ctx context.Context, reader string, seq uint64) error {
	_, err := s.call(ctx, "acknowledge", args{}.text(reader).number(seq))
	return err
}

// Acknowledged implements [counterfoil.Store].
func (s *Store) Acknowledged(ctx context.Context, reader string) (uint64, error) {
	seq, err := s.field(ctx, "readers", reader).AsUint64()
	if rueidis.IsRedisNil(err) {
		return 0, nil
	}
	return seq, plain(err)
}

// Readers implements [counterfoil.Store].
func (s *Store) Readers(ctx context.Context) (map[string]uint64, error) {
	texts, err := s.client.Do(ctx, s.client.B().Hgetall().Key(s.keys[0]+"readers").Build()).AsStrMap()
	if err != nil {
		return nil, plain(err)
	}
	all := make(map[string]uint64, len(texts))
	for name, text := range texts {
		if all[name], err = strconv.ParseUint(text, 10, 64); err != nil {
			return nil, fmt.Errorf("%w (a reader: %w)", ErrDamaged, err)
		}
	}
	return all, nil
}

// Forget implements [counterfoil.Store].
func (s *Store) Forget(ctx context.Context, reader string) error {
	_, err := s.call(ctx, "forget", args{}.text(reader))
	return err
}

// Renew implements [counterfoil.Store].
func (s *Store) Renew(ctx context.Context) error {
	_, err := s.call(ctx, "renew", args{}.text(rand.Text()))
	return err
}

// Meta implements [counterfoil.Store].
func (s *Store) Meta(ctx context.Context, key string) ([]byte, error) {
	value, err := s.field(ctx, "meta", key).AsBytes()
	if rueidis.IsRedisNil(err) {
		return nil, nil
	}
	return value, plain(err)
}

// SwapMeta implements [counterfoil.Store].
func (s *Store) SwapMeta(ctx context.Context, key string, old, new []byte) error {
	_, err := s.call(ctx, "swap", args{}.text(key).flag(old != nil).bytes(old).flag(new != nil).bytes(new))
	return err
}

// field reads one field of one of the small hashes.
func (s *Store) field(ctx context.Context, key, field string) rueidis.RedisResult {
	return s.client.Do(ctx, s.client.B().Hget().Key(s.keys[0]+key).Field(field).Build())
}

func plain(err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("redis: %w", err)
}
