package audit

import (
	"fmt"
	"io"
)

// KindDamaged marks what [Tail] returns for a line that cannot be read.
const KindDamaged = "damaged"

// Tail returns at most the last n lines of a file, the oldest first. It reads only as much as it
// needs from the end and checks the form of the lines, not the chain. A last line without its line
// break, which is being written or was torn by a crash, is left out.
func Tail(r io.ReadSeeker, n int) ([]Line, error) {
	end, err := r.Seek(0, io.SeekEnd)
	if err != nil {
		return nil, fmt.Errorf("audit: the file cannot be read: %w", err)
	}
	var start int64
	for span := int64(64 << 10); ; span *= 2 {
		start = max(0, end-span)
		count, err := countBreaks(r, start, end)
		if err != nil {
			return nil, err
		}
		if start == 0 || count > n {
			break
		}
	}
	if _, err := r.Seek(start, io.SeekStart); err != nil {
		return nil, fmt.Errorf("audit: the file cannot be read: %w", err)
	}
	src := newLines(io.LimitReader(r, end-start))
	if start > 0 { // most likely in the middle of a line
		if _, err := src.next(); err != nil && err != io.EOF {
			return nil, fmt.Errorf("audit: the file cannot be read: %w", err)
		}
	}
	var last []Line
	for {
		p, err := src.next()
		if err == io.EOF || err == nil && !p.ended {
			return last, nil
		}
		if err != nil {
			return nil, fmt.Errorf("audit: the file cannot be read: %w", err)
		}
		l, err := ParseLine(p.text)
		if err != nil || p.size != int64(len(p.text)) {
			l = Line{Kind: KindDamaged}
		}
		if last = append(last, l); len(last) > n {
			last = last[1:]
		}
	}
}

func countBreaks(r io.ReadSeeker, start, end int64) (count int, err error) {
	if _, err := r.Seek(start, io.SeekStart); err != nil {
		return 0, fmt.Errorf("audit: the file cannot be read: %w", err)
	}
	src := newLines(io.LimitReader(r, end-start))
	for {
		switch _, err := src.next(); err {
		case nil:
			count++
		case io.EOF:
			return count, nil
		default:
			return 0, fmt.Errorf("audit: the file cannot be read: %w", err)
		}
	}
}
