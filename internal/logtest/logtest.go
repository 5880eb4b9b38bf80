// Package logtest keeps what a logger or a program writes, for tests that read it meanwhile:
//
//	var log logtest.Log
//	logger := slog.New(slog.NewTextHandler(&log, nil))
//	logger.Info("ready")
//	fmt.Println(log.String())
package logtest

import (
	"strings"
	"sync"
)

// Log is all that was written to it. The zero value is empty; any number of goroutines may use it.
type Log struct {
	mu   sync.Mutex
	text strings.Builder
}

// Write adds to the log; it never fails.
func (l *Log) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

// String returns what was written so far.
func (l *Log) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}
