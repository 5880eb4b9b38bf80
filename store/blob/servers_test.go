package blob_test

import (
	"strings"
	"sync"
	"testing"

	"github.com/counterfoil/counterfoil/store/blob/blobtest"
)

// servers are started once, when a test asks for them, and end with the tests.
var servers = map[string]func() (*blobtest.Server, error){
	"s3":     sync.OnceValues(started(blobtest.StartS3)),
	"gs":     sync.OnceValues(started(blobtest.StartGCS)),
	"azblob": sync.OnceValues(started(blobtest.StartAzure)),
}

var (
	runningMu sync.Mutex
	running   []*blobtest.Server
)

func started(start func() (*blobtest.Server, error)) func() (*blobtest.Server, error) {
	return func() (*blobtest.Server, error) {
		s, err := start()
		if err == nil {
			runningMu.Lock()
			defer runningMu.Unlock()
			running = append(running, s)
		}
		return s, err
	}
}

// serverOf is the server of a kind; stores in this test may prove to it who they are.
func serverOf(t *testing.T, kind string) *blobtest.Server {
	t.Helper()
	s, err := servers[kind]()
	if err != nil {
		t.Fatal(err)
	}
	for _, one := range s.Env {
		name, value, _ := strings.Cut(one, "=")
		t.Setenv(name, value)
	}
	return s
}

func stopServers() (err error) {
	runningMu.Lock()
	defer runningMu.Unlock()
	for _, s := range running {
		if e := s.Stop(); e != nil {
			err = e
		}
	}
	return err
}
