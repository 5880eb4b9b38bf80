package sqlite_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/counterfoil/counterfoil/store/internal/killtest"
	"github.com/counterfoil/counterfoil/store/internal/sample"
	"github.com/counterfoil/counterfoil/store/sqlite"
)

// A damaged file is an error that says so, never an empty store, and stays as it is.
func TestDamaged(t *testing.T) {
	fill := func(t *testing.T) (string, []byte) {
		path := temp(t)
		s := open(t, path)
		for range 200 {
			if _, err := s.Create(context.Background(), sample.Session(sample.Subject()), sample.SignIn()); err != nil {
				t.Fatal(err)
			}
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		whole, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		return path, whole
	}
	for name, damage := range map[string]func([]byte) []byte{
		"text":             func([]byte) []byte { return bytes.Repeat([]byte("not a database\n"), 600) },
		"header gone":      func(b []byte) []byte { clear(b[:100]); return b },
		"first page gone":  func(b []byte) []byte { clear(b[16:4096]); return b },
		"schema scrambled": func(b []byte) []byte { copy(b[100:], bytes.Repeat([]byte{0xa5}, 3000)); return b },
	} {
		t.Run(name, func(t *testing.T) {
			path, whole := fill(t)
			bad := damage(whole)
			if err := os.WriteFile(path, bad, 0o600); err != nil {
				t.Fatal(err)
			}
			s, err := sqlite.Open(context.Background(), path, sqlite.Options{})
			if err == nil {
				_ = s.Close()
			}
			if !errors.Is(err, sqlite.ErrDamaged) {
				t.Errorf("got %v, want ErrDamaged", err)
			}
			if now, err := os.ReadFile(path); err != nil || !bytes.Equal(now, bad) {
				t.Error("the file was changed")
			}
		})
	}
	for name, damage := range map[string]func([]byte) []byte{
		"pages zeroed": func(b []byte) []byte { clear(b[len(b)/2 : len(b)*3/4]); return b },
		"cut":          func(b []byte) []byte { return b[:len(b)/2/4096*4096] },
	} {
		t.Run(name, func(t *testing.T) {
			path, whole := fill(t)
			if err := os.WriteFile(path, damage(whole), 0o600); err != nil {
				t.Fatal(err)
			}
			s, err := sqlite.Open(context.Background(), path, sqlite.Options{})
			if err == nil {
				err = s.Check(context.Background())
				_ = s.Close()
			}
			if !errors.Is(err, sqlite.ErrDamaged) {
				t.Errorf("got %v, want ErrDamaged", err)
			}
		})
	}
}

// When the disk is full every write is refused with an error that says so; nothing that was
// acknowledged is lost and the file is whole. A limit on the size of files stands for the full disk:
// a low one stops the write-ahead log, a higher one its transfer into the database, which commits go
// on without until the log is too long itself.
func TestDiskFull(t *testing.T) {
	for name, c := range map[string]struct{ filled, blocks int }{ // of 64 KiB; of 512 bytes
		"in a commit": {0, 2 * 1024}, "in a checkpoint": {66, 9 * 1024},
	} {
		t.Run(name, func(t *testing.T) { diskFull(t, c.filled, c.blocks) })
	}
}

// progress is what a child says; it may not be silent for long.
type progress struct {
	bytes.Buffer
	hung *time.Timer
}

func (p *progress) Write(b []byte) (int, error) {
	p.hung.Reset(killtest.Hung)
	return p.Buffer.Write(b)
}

func diskFull(t *testing.T, filled, blocks int) {
	path := temp(t)
	before := open(t, path)
	for range filled {
		r := sample.Session(sample.Subject())
		r.Values = make([]byte, 64<<10)
		if _, err := before.Create(context.Background(), r, sample.SignIn()); err != nil {
			t.Fatal(err)
		}
	}
	if err := before.Close(); err != nil {
		t.Fatal(err)
	}
	child := killtest.Process(path, 64) // who share the waits for the disk
	child.Path, child.Args = "/bin/sh", []string{"sh", "-c", fmt.Sprintf("ulimit -f %d; exec %q", blocks, os.Args[0])}
	var said progress
	var complaint bytes.Buffer
	child.Stdout, child.Stderr = &said, &complaint
	said.hung = time.AfterFunc(killtest.Hung, func() {
		if child.Process != nil {
			_ = child.Process.Kill()
		}
	})
	err := child.Run()
	said.hung.Stop()
	if err == nil || !child.ProcessState.Exited() {
		t.Fatalf("the child was to fail by itself: %v", err)
	}
	if text := complaint.String(); !strings.Contains(text, "the disk is full") && !strings.Contains(text, "the disk did not do as asked") {
		t.Errorf("it said %q", text)
	}
	if info, err := os.Stat(path); err != nil {
		t.Error(err)
	} else if filled > 0 && info.Size() < int64(blocks)*512-4096 {
		t.Errorf("the file has %d bytes: no checkpoint met the limit", info.Size())
	}
	told := killtest.Read(&said)
	if len(told.Live) == 0 || len(told.Ended) == 0 {
		t.Error("the disk was full before anything was written")
	}
	s := open(t, path)
	if err := s.Check(context.Background()); err != nil {
		t.Error(err)
	}
	told.Check(t, s)
	if _, err := s.Create(context.Background(), sample.Session(sample.Subject()), sample.SignIn()); err != nil {
		t.Errorf("with room again: %v", err)
	}
}
