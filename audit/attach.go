package audit

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/counterfoil/counterfoil"
)

// state is what the exporter knows of the file it writes. The zero state is detached.
type state struct {
	file  *os.File
	chain chainID
	keys  ratchet
	good  [32]byte // SHA-256 of the last line
	tail  tail     // the last line, in the file or in batch; Seq is where to read on
	noted []byte   // what the store keeps under TailKey
	acked uint64   // what the store was told
	read  bool     // this store's log was read from tail.Seq: before that the file may know a later one
	log   string   // incarnation of the log that is exported
	batch []byte   // lines that are not written yet
}

// attach opens the file, looks at what stands behind the last line that the store knows, and begins
// a new chain. It changes nothing that stands in the file.
func (x *Exporter) attach(ctx context.Context) error {
	noted, err := x.cfg.Store.Meta(ctx, TailKeyOf(x.cfg.Name))
	if err != nil {
		return fmt.Errorf("audit: the store's note of the last line: %w", err)
	}
	acked, err := x.cfg.Store.Acknowledged(ctx, named(Reader, x.cfg.Name))
	if err == nil {
		err = x.cfg.Store.Acknowledge(ctx, named(Reader, x.cfg.Name), acked) // from now on nothing is trimmed before it is exported
	}
	if err != nil {
		return fmt.Errorf("audit: the position in the store's log: %w", err)
	}
	known, err := parseTail(noted)
	if errors.Is(err, ErrTail) {
		x.cfg.Logger.Error("audit: the store's note of the last line was damaged; a cut file would not be noticed", "error", err)
	}
	file, size, err := openFile(x.cfg.Path)
	if err != nil {
		return err
	}
	end, err := x.survey(file, size, known)
	if err != nil {
		return errors.Join(err, file.Close())
	}

	same, err := x.sameLog(ctx, end.last)
	if err != nil {
		return errors.Join(err, file.Close())
	}
	if !same {
		end.seq = 0
	}

	page, err := x.cfg.Store.Log(ctx, 0, 0)
	if err != nil && !errors.Is(err, counterfoil.ErrGap) {
		return errors.Join(fmt.Errorf("audit: reading the store's log: %w", err), file.Close())
	}
	if known.Incarnation == "" {
		known.Incarnation = page.Incarnation
	}
	x.state = state{file: file, noted: noted, acked: acked, good: end.good, log: page.Incarnation}
	x.state.tail = tail{Number: end.number, Offset: size, Seq: max(acked, end.seq), Incarnation: known.Incarnation}
	if end.open {
		x.state.batch = []byte("\n")
	}
	first := Line{Kind: KindBegin, Torn: end.torn.bytes, TornLines: end.torn.lines, TornSum: end.torn.hex(), Missing: end.missing}
	if end.torn.lines > 0 || end.beyond > 0 || end.missing > 0 {
		first.Kind = KindRecover
	}
	if end.hasGood {
		first.After = hex.EncodeToString(end.good[:])
	}
	err = x.begin(first)
	if err == nil && !same {
		x.cfg.Logger.Warn("audit: the store's log is not the one it was", "why", "other", "since", acked)
		err = x.add(Line{Kind: KindStore, Reason: "other", Log: clip(x.state.log, 128), Time: x.now()})
	}
	if err == nil {
		err = x.write()
	}
	if err != nil {
		x.detach()
	}
	return err
}

// sameLog reports whether the store's log has what a line that its note does not know of tells: a
// crash leaves such lines, and so does a backup of the store, whose log goes on in another way. What
// the log does not reach, upwards or downwards, is found when it is read.
func (x *Exporter) sameLog(ctx context.Context, l Line) (bool, error) {
	if l.Seq == 0 {
		return true, nil
	}
	page, err := x.cfg.Store.Log(ctx, l.Seq-1, 1)
	if errors.Is(err, counterfoil.ErrGap) || err == nil && len(page.Entries) == 0 {
		return true, nil
	}
	if err != nil {
		return false, fmt.Errorf("audit: reading the store's log: %w", err)
	}
	e := x.entryLine(page.Entries[0])
	return e.Time.Equal(l.Time) && e.Session == l.Session, nil
}

// detach closes the file; what is not written is forgotten here and exported again.
func (x *Exporter) detach() {
	if x.state.file != nil {
		x.state.file.Close() // what matters is synced
	}
	x.state = state{}
}

// ending is what the end of a file holds.
type ending struct {
	walker
	seq     uint64 // highest position that a good line after the known one has
	last    Line   // that line
	beyond  int    // good lines after the known one
	missing uint64 // number of the known line, if the file does not have it
	open    bool   // the last line has no line break
}

// survey reads the file from the line that the store knows; from the start if there is none, or if
// that line is not where it was.
func (x *Exporter) survey(file *os.File, size int64, known tail) (ending, error) {
	end := ending{walker: walker{root: x.key}}
	var from int64
	switch found, err := end.resume(file, size, known); {
	case err != nil:
		return end, err
	case found:
		from, end.seq = known.Offset, known.Seq
	case known.Number > 0:
		end.missing = known.Number
		x.cfg.Logger.Error("audit: the file was cut, changed or replaced: the last line that the store knows is not in it",
			"path", x.cfg.Path, "line", known.Number)
	}
	src := newLines(io.NewSectionReader(file, from, size-from))
	foreign := false
	for {
		p, err := src.next()
		if err == io.EOF {
			return end, nil
		}
		if err != nil {
			return end, fmt.Errorf("audit: the file cannot be read: %w", err)
		}
		end.open = !p.ended
		if !foreign {
			l, f := end.pass(p)
			if f.line == 0 {
				if from > 0 {
					end.beyond++
					if end.ours {
						if l.Seq > end.seq {
							end.seq, end.last = l.Seq, l
						}
					}
				}
				continue
			}
			if end.tear(p) {
				continue
			}
			foreign = true
			x.cfg.Logger.Error("audit: the file was changed by others; audit verify says more",
				"path", x.cfg.Path, "line", f.line, "why", f.why)
		}
		end.number++
		end.torn.add(p)
	}
}

// resume puts the walker just behind the known line, if that is in its place.
func (w *walker) resume(file io.ReaderAt, size int64, known tail) (bool, error) {
	if known.Number == 0 || size < known.Offset {
		return false, nil
	}
	text, err := lineEndingAt(file, known.Offset)
	if err != nil && !errors.Is(err, errForm) {
		return false, err
	}
	l, err := ParseLine(text)
	if err != nil || !known.is(l) {
		return false, nil
	}
	w.number, w.good, w.hasGood = l.Number, sha256.Sum256(text), true
	w.chain, _ = parseChainID(l.Chain)
	w.first, w.ours = known.First, w.chain.ours(w.root)
	if w.ours && size > known.Offset {
		w.keys = newRatchet(w.root, w.chain)
		for range min(l.Number-known.First+1, chapter) {
			w.keys.skip()
		}
		w.keys.last = [32]byte(known.MAC)
	}
	return true, nil
}
