package main

import (
	"errors"
	"net"
	"os"
	"path/filepath"
	"sync/atomic"
)

// tap stands between a server and its callers and counts round trips: how often one of them asks
// after the server has answered.
type tap struct {
	way      string // how the server is reached through it
	listener net.Listener
	trips    atomic.Int64
	dir      string
}

func newTap(s *server) (*tap, error) {
	dir, err := os.MkdirTemp("", "cftap")
	if err != nil {
		return nil, err
	}
	t := &tap{dir: dir}
	const socket = ".s.PGSQL.5432" // what PostgreSQL calls it; its callers name the folder
	to := filepath.Join(s.way, socket)
	t.way = dir
	if s.name != "postgres" {
		to, t.way = s.way, filepath.Join(dir, socket)
	}
	if t.listener, err = net.Listen("unix", filepath.Join(dir, socket)); err != nil {
		return nil, errors.Join(err, os.RemoveAll(dir))
	}
	go func() {
		for {
			caller, err := t.listener.Accept()
			if err != nil {
				return
			}
			server, err := net.Dial("unix", to)
			if err != nil {
				caller.Close()
				continue
			}
			var asking atomic.Bool
			go pass(server, caller, func() {
				if !asking.Swap(true) {
					t.trips.Add(1)
				}
			})
			go pass(caller, server, func() { asking.Store(false) })
		}
	}()
	return t, nil
}

func pass(to, from net.Conn, note func()) {
	defer to.Close()
	for buf := make([]byte, 64<<10); ; {
		n, err := from.Read(buf)
		if err != nil {
			return
		}
		note()
		if _, err := to.Write(buf[:n]); err != nil {
			return
		}
	}
}

func (t *tap) close() error { return errors.Join(t.listener.Close(), os.RemoveAll(t.dir)) }
