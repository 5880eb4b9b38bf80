package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/counterfoil/counterfoil"
)

// loader is the process that asks. It understands just enough HTTP to cost little: every answer has
// an empty body.
type loader struct {
	addr   string
	conns  int
	length time.Duration
}

// run prints the requests a second, after a start that does not count, and the requests in all.
func (l loader) run() error {
	request, err := io.ReadAll(os.Stdin)
	if err != nil {
		return err
	}
	clock := counterfoil.SystemClock()
	wall, start := clock.Now()
	from := start + l.length/5
	end := from + l.length
	var counted, all atomic.Int64
	errs := make([]error, l.conns)
	var wg sync.WaitGroup
	for i := range errs {
		wg.Go(func() {
			conn, err := net.Dial("tcp", l.addr)
			if err != nil {
				errs[i] = err
				return
			}
			defer conn.Close()
			conn.SetDeadline(wall.Add(2*l.length + 10*time.Second))
			for buf := make([]byte, 4096); ; {
				if errs[i] = ask(conn, request, buf); errs[i] != nil {
					return
				}
				all.Add(1)
				switch _, now := clock.Now(); {
				case now > end:
					return
				case now > from:
					counted.Add(1)
				}
			}
		})
	}
	wg.Wait()
	if err := errors.Join(errs...); err != nil {
		return err
	}
	fmt.Printf("%.1f %d\n", float64(counted.Load())/l.length.Seconds(), all.Load())
	return nil
}

func ask(conn net.Conn, request, buf []byte) error {
	if _, err := conn.Write(request); err != nil {
		return err
	}
	for n := 0; ; {
		more, err := conn.Read(buf[n:])
		if err != nil {
			return err
		}
		n += more
		if bytes.HasSuffix(buf[:n], []byte("\r\n\r\n")) {
			if !bytes.HasPrefix(buf[:n], []byte("HTTP/1.1 200 ")) {
				return fmt.Errorf("the answer is %.40q", buf[:n])
			}
			return nil
		}
		if n == len(buf) {
			return errors.New("the answer is too long")
		}
	}
}
